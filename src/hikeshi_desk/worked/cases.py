"""The worked incidents as cases of a fresh desk: sent in like any consultation, worked on by invented roles.

What happens next is the desk's own: clocks run, the analysis is a job, the partner sees what it was given.
"""

from __future__ import annotations

import hashlib
import shutil
import tomllib
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.urls import reverse

from hikeshi.errors import UsageError
from hikeshi_desk.accounts.links import make_link
from hikeshi_desk.accounts.models import Membership, OneTimeLink, Organisation, Role, User
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import acts
from hikeshi_desk.cases.models import Case
from hikeshi_desk.cases.opening import open_submission
from hikeshi_desk.intake import spool
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.submit import IncomingFile, Payload, submit

# Invented, and said so by their names.
_LEAD, _HANDLER, _PARTNER = "責任者（デモ）", "担当者（デモ）", "連携先の担当（デモ）"
_SAME_TIME = (2026, 1, 1, 0, 0, 0)
_SPOKEN = ("what", "request", "incident", "asker_kind", "asker_name", "contact", "on_behalf", "language", "anonymous")


@dataclass(frozen=True)
class Opened:
    """Ways into the desk: paths that work once, and the code of the anonymous consultee ("" without that case)."""

    handler: str
    lead: str
    partner: str
    code: str


def told() -> Sequence[Mapping[str, Any]]:
    """What cases.toml says, in its order."""
    found: list[Mapping[str, Any]] = tomllib.loads(
        (Path(__file__).parent / "cases.toml").read_text(encoding="utf-8"))["case"]
    return found


def fill(evidence: Mapping[str, Path]) -> Opened:
    """Put the incidents whose evidence is given (scenario → folder) into an empty desk.

    Raises UsageError for a desk that has people: the demo's is never mixed with a real one.
    """
    if User.objects.exists() or Case.objects.exists():
        raise UsageError("this desk is in use", hint="the demo opens a desk of its own: choose another --out")
    desk = Organisation.objects.create(name="相談窓口（デモ）", name_en="Consultation desk (demo)", is_desk=True,
                                       kinds=["expert"])
    partners = Organisation.objects.create(name="連携組織（デモ）", name_en="Partner (demo)", kinds=["coordinator"])
    lead = _person("lead@desk.example", _LEAD, desk, Role.LEAD)
    handler = _person("handler@desk.example", _HANDLER, desk, Role.HANDLER)
    partner = _person("partner@partner.example", _PARTNER, partners, Role.PARTNER)
    record("system", "desk.demo", "desk")
    code = ""
    for one in told():
        if one["scenario"] in evidence:
            given = _case(one, evidence[one["scenario"]], handler, partners)
            code = given if one.get("anonymous") else code
    return Opened(*(_link(person) for person in (handler, lead, partner)), code)


def _person(email: str, name: str, organisation: Organisation, role: Role) -> User:
    """Without a password: only the link leads in."""
    user = User.objects.create_user(email, None, name=name)
    Membership.objects.create(user=user, organisation=organisation, role=role)
    return user


def _link(person: User) -> str:
    token = make_link(OneTimeLink.Purpose.INVITE, person).rstrip("/").rsplit("/", 1)[1]
    return reverse("demo", args=[token])


def _case(one: Mapping[str, Any], folder: Path, handler: User, partners: Organisation) -> str:
    """Send it in, and let the desk do what is told; gives the receipt code."""
    files = [_archive(one["archive"], folder), *(_file(folder / name) for name in one["files"])]
    payload = Payload(channel=one["channel"], facts=one.get("facts", {}), hypothesis=tuple(one.get("hypothesis", ())),
                      **{name: _said(one[name]) for name in _SPOKEN if name in one})
    accepted = submit(payload, files, idempotency_key=f"demo-{uuid.uuid4()}")
    submission = Submission.objects.get(pk=accepted.submission_id)
    case = open_submission(submission).case
    acts.assign(case, handler, owner=handler, team=None)
    for step in one["then"]:
        _do(step, Case.objects.get(pk=case.pk), handler, partners, submission.receipt, one)
    return accepted.receipt_code or ""


def _do(step: Mapping[str, Any], case: Case, handler: User, partners: Organisation, thread: str,
        one: Mapping[str, Any]) -> None:
    said = _said(step["text"])
    match step["kind"]:
        case "note":
            acts.note(case, handler, body=said)
        case "reply":
            acts.reply(case, handler, body=said)
        case "triage":
            acts.triage(case, handler, verdict=step["verdict"], reason=said, rule=step["rule"])
        case "invite":
            acts.invite(case, handler, organisation=partners, scope=step["scope"])
        case "asker":
            again = submit(Payload(channel=one["channel"], what=said, anonymous=bool(one.get("anonymous")),
                                   thread=thread), idempotency_key=f"demo-{uuid.uuid4()}")
            open_submission(Submission.objects.get(pk=again.submission_id))
        case unknown:
            raise ValueError(unknown)


def _said(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _archive(name: str, folder: Path) -> IncomingFile:
    """Everything of a folder as one zip, as people hand it in; the same bytes every time."""
    path = spool.incoming() / f"demo-{uuid.uuid4()}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _SAME_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    return _incoming(name, path)


def _file(source: Path) -> IncomingFile:
    path = spool.incoming() / f"demo-{uuid.uuid4()}"
    shutil.copyfile(source, path)
    return _incoming(source.name, path)


def _incoming(name: str, path: Path) -> IncomingFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return IncomingFile(name=name, path=path, sha256=sha256, size=path.stat().st_size)
