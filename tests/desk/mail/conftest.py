"""A desk with an address, an empty mail store, and mails to send to it."""

from __future__ import annotations

import shutil
import sys
from email.message import EmailMessage
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture(autouse=True)
def mail_desk(monkeypatch):
    # Not above: this file is read before Django is set up.
    from django.conf import settings

    from hikeshi_desk.mail import receive as receiving
    from hikeshi_desk.mail import store

    monkeypatch.setenv("HIKESHI_MAIL_ADDRESS", "desk@example.org")
    for folder in (store.root(), Path(settings.SPOOL)):
        shutil.rmtree(folder, ignore_errors=True)
    if receiving._reader is not None:
        receiving._reader.close()
    receiving._reader = None


@pytest.fixture
def a_mail():
    def build(body="端末が暗号化されました。\n", **headers) -> bytes:
        out = EmailMessage()
        for name, value in {"From": "Hanako <hanako@example.jp>", "To": "desk@example.org", "Subject": "相談",
                            "Message-ID": "<first@example.jp>", **{k.replace("_", "-"): v for k, v in headers.items()}}.items():
            if value is not None:
                out[name] = value
        out.set_content(body)
        return out.as_bytes()
    return build
