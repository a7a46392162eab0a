"""A desk with people on call, urgent cases, and somebody who listens."""

from __future__ import annotations

import itertools
import json
import threading
from datetime import date, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import django
import pytest

django.setup()  # pytest reads this file before tests/conftest.py is asked to

from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from hikeshi_desk import config  # noqa: E402
from hikeshi_desk.accounts.models import Membership, Organisation, Role, User  # noqa: E402
from hikeshi_desk.cases.opening import open_submission  # noqa: E402
from hikeshi_desk.intake.models import Submission  # noqa: E402
from hikeshi_desk.intake.submit import Payload, submit  # noqa: E402
from hikeshi_desk.oncall.models import Shift  # noqa: E402

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.SPOOL, settings.EVIDENCE, settings.DATA = tmp_path / "spool", tmp_path / "evidence", tmp_path
    settings.SECOND_FACTOR = "optional"
    config.load.cache_clear()
    yield
    config.load.cache_clear()


@pytest.fixture
def told(tmp_path):
    """Write desk.toml."""
    def write(toml: str) -> None:
        (tmp_path / "desk.toml").write_text(toml)
        config.load.cache_clear()
    return write


@pytest.fixture
def urgent():
    """Opens a case; ransomware is urgent by itself."""
    def send(what: str = "CANARY-WORDS 全部暗号化されました", incident: str = "ransomware", **fields):
        payload = Payload(channel="web", what=what, **{
            "request": "first_steps", "incident": incident, "asker_name": "CANARY-NAME", "contact": "canary@example.jp",
            **fields})
        accepted = submit(payload, (), idempotency_key=f"an-oncall-test-key-{next(_numbers)}")
        return open_submission(Submission.objects.get(pk=accepted.submission_id)).case
    return send


@pytest.fixture
def member(db):
    def make(name: str, role: Role = Role.HANDLER, *, desk: bool = True, **fields) -> User:
        organisation, _ = Organisation.objects.get_or_create(name="窓口" if desk else "連携先", is_desk=desk)
        user = User.objects.create_user(f"{next(_numbers)}@example.jp", None, name=name, **fields)
        Membership.objects.create(user=user, organisation=organisation, role=role)
        return user
    return make


@pytest.fixture
def always():
    """A shift that covers every hour around now."""
    def make(person: User, place: int = 1) -> Shift:
        today = timezone.localdate()
        return Shift.objects.create(person=person, place=place, first_day=today - timedelta(days=9), begins=time(0),
                                    end_day=today - timedelta(days=2), ends=time(0), weekly=True)
    return make


@pytest.fixture
def sign_in():
    def enter(user: User) -> Client:
        client = Client()
        client.force_login(user)
        session = client.session
        now = timezone.now().timestamp()
        session.update({"signed_in_at": now, "seen_at": now})
        session.save()
        return client
    return enter


@pytest.fixture
def hook():
    """A team chat: keeps what it is told, answers with `.status`."""
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.told.append((self.path, json.loads(body), body.decode()))
            self.send_response(server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.told, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def day():
    return date(2026, 11, 23)  # a Monday
