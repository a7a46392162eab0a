"""The examples of docs/api.md, run with curl against a real desk, in their order."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
TOKEN = """
from hikeshi_desk.accounts.models import Membership, Organisation, User
from hikeshi_desk.api import tokens
home, _ = Organisation.objects.get_or_create(name="窓口", is_desk=True)
user, _ = User.objects.get_or_create(email="examples@example.jp", defaults={"name": "例"})
Membership.objects.get_or_create(user=user, organisation=home, role="handler")
told = tokens.make(user, name="examples", scopes=list(tokens.SCOPES), days=1)[1]
"""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_example_of_the_page_works(served):
    known = {"DESK": served.url, "TOKEN": served.shell(TOKEN), "SHA256": hashlib.sha256(b"hello").hexdigest()}
    ran = 0
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        for command in re.findall(r"^(?:printf|curl).*\n(?: .*\n)*", block, re.M):
            run = subprocess.run(["sh", "-c", command], env=served.environment | known, capture_output=True, text=True,
                                 timeout=300, check=False)
            assert run.returncode == 0, (command, run.stdout, run.stderr)
            told = json.loads(run.stdout)
            ran += 1
            known |= {"CODE": told.get("receipt_code", known.get("CODE", ""))}
            known |= {"CASE": told["case"]} if "case" in told else {}
            known |= {"UPLOAD": told["id"], "KEY": told["key"]} if "key" in told else {}
            if "finish" in command:
                assert told["finished"]
    assert ran == 10, ran
