"""A desk whose cases bring files; everything as it runs, in folders of the test's own."""

from __future__ import annotations

import copy
import hashlib
import io
import itertools
import shutil
import uuid
import zipfile
from pathlib import Path

import pytest

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.DATA = tmp_path
    settings.SPOOL, settings.EVIDENCE = tmp_path / "spool", tmp_path / "evidence"
    settings.SECOND_FACTOR = "optional"


@pytest.fixture
def consult(db):
    """A consultation with files (name → content), opened; gives the case."""
    def send(what: str = "サーバーが動きません", files=(), **fields):
        from hikeshi_desk.cases.opening import open_submission
        from hikeshi_desk.intake import spool
        from hikeshi_desk.intake.models import Submission
        from hikeshi_desk.intake.submit import IncomingFile, Payload, submit

        incoming = []
        for name, content in files:
            path = spool.incoming() / f"upload-{next(_numbers)}"
            path.write_bytes(content)
            incoming.append(IncomingFile(name, path, hashlib.sha256(content).hexdigest(), len(content)))
        payload = Payload(channel="web", what=what, **{"request": "first_steps", "anonymous": True, **fields})
        accepted = submit(payload, incoming, idempotency_key=f"a-test-key-long-enough-{next(_numbers)}")
        case = open_submission(Submission.objects.get(pk=accepted.submission_id)).case
        case.code = accepted.receipt_code
        return case
    return send


@pytest.fixture
def member(db):
    def make(role, *, desk: bool = True, name: str = ""):
        from hikeshi_desk.accounts.models import Membership, Organisation, User

        organisation, _ = Organisation.objects.get_or_create(name="窓口" if desk else f"連携先{name}", is_desk=desk)
        user = User.objects.create_user(f"{role}-{next(_numbers)}@example.jp", None, name=name or f"{role}の人")
        Membership.objects.create(user=user, organisation=organisation, role=role)
        return user
    return make


@pytest.fixture
def sign_in():
    def enter(user):
        from django.test import Client
        from django.utils import timezone

        client = Client()
        client.force_login(user)
        session, now = client.session, timezone.now().timestamp()
        session.update({"signed_in_at": now, "seen_at": now, "second_factor": True})
        session.save()
        return client
    return enter


@pytest.fixture
def handler(member, sign_in):
    """A client of somebody who works at the desk."""
    return sign_in(member("handler", name="佐藤"))


@pytest.fixture
def partner_of(member, sign_in):
    """A client of somebody whose organisation is a party of the case, with what it may see."""
    def make(case, **scope):
        from hikeshi_desk.cases.models import Party

        user = member("partner", desk=False, name=f"{next(_numbers)}")
        Party.objects.create(case=case, organisation=user.memberships.get().organisation, **scope)
        return sign_in(user)
    return make


@pytest.fixture(scope="session")
def incident(tmp_path_factory) -> Path:
    """A worked incident: ransomware by way of a VPN account."""
    from hikeshi.demo import write_scenario

    folder = tmp_path_factory.mktemp("incident") / "evidence"
    write_scenario("vpn-ransomware", folder)
    return folder


@pytest.fixture(scope="session")
def incident_zip(incident) -> bytes:
    """Part of it, as somebody sends it: three hosts and the firewall in one zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(incident.rglob("*")):
            name = str(path.relative_to(incident))
            if path.is_file() and name.startswith(("APP01/", "FS01/", "RDS01/", "firewall/")):
                archive.write(path, name)
    return out.getvalue()


@pytest.fixture(scope="session")
def note() -> str:
    return """YOUR NETWORK HAS BEEN ENCRYPTED

All of your files were encrypted and sensitive data was downloaded from your servers.
To recover your files you must pay in Bitcoin. Do not try to decrypt the files yourself.
Contact us with Tor Browser:
http://medusakxxtp3uo7vusntvubnytaph4d3amxivbggl3hnhpk2nmus34yd.onion/
If you do not pay within 72 hours we will publish your data.
"""


@pytest.fixture(scope="session")
def made(incident_zip, tmp_path_factory):
    """One result of triage for all tests of this folder: folder and summary are copied, not made again."""
    from hikeshi.model.text import Text
    from hikeshi.report.spread import draw_spread
    from hikeshi.report.words import Words
    from hikeshi.triage.run import triage
    from hikeshi_desk.analysis import folder, signs, summary, timeline_store

    root = tmp_path_factory.mktemp("made")
    (root / "evidence").mkdir()
    (root / "evidence" / "a.zip").write_bytes(incident_zip)
    run = triage([root / "evidence"], root / "result" / "out")
    names = summary.names_of({"a.zip": "CANARY 資料.zip"})
    rows = [summary.finding_row(f, names) for f in summary.most_severe(run.findings)]
    told = summary.summarise(run, None, names.names, [("壊れた.zip", Text("壊れています", "damaged"))], 2)
    from zoneinfo import ZoneInfo

    for lang in ("ja", "en"):
        svg = draw_spread(run.case.story, Words(lang), ZoneInfo("Asia/Tokyo"))
        (root / "result" / f"spread.{lang}.svg").write_text(svg)
    assert timeline_store.keep(root / "result" / "out", root / "result", names.of)
    (root / "result" / folder.PAGE).write_bytes(folder.lines(rows))
    return Path(root / "result"), {**told, "has_spread": True, "has_timeline": True}, signs.of(run, summary.answer(told))


@pytest.fixture
def analysed(consult, made):
    """A case with that result."""
    def make(what="ファイルが開けません", **fields):
        from hikeshi_desk.analysis import folder
        from hikeshi_desk.analysis.models import Analysis, Sign, State

        place, told, signs = made
        case = consult(what, **{"incident": "ransomware", **fields})
        run = uuid.uuid4()
        shutil.copytree(place, folder.of(run))
        Analysis.objects.create(case=case, state=State.DONE, result=run, summary=copy.deepcopy(told), finished_at=case.opened_at,
                                files=0, words=1)
        Sign.objects.bulk_create([Sign(case=case, kind=kind, key=key) for kind, key in signs])
        return case
    return make
