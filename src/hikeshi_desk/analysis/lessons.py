"""Lessons of finished cases: written by handlers, released by a lead once nothing in them names the victim.

What a release looks for: everybody of the case (cases.relaying.naming), its machines and accounts as the analysis
found them, addresses of the inside, mail addresses and phone numbers. Widths, case, kana, spaces and hidden signs don't
help, and half a name counts. What is only a part of an ordinary word does not (cases.spelling says where it ends).
Kanji are not read aloud: a name in kana is found only where the case has it in kana.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

from django.db import transaction
from django.db.models import Case as Choice
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Concat
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.models import User
from hikeshi_desk.analysis.attribution import KINDS, Refused
from hikeshi_desk.analysis.models import Analysis, Lesson, Sign
from hikeshi_desk.analysis.signs import key_of
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks, spelling
from hikeshi_desk.cases.models import Case
from hikeshi_desk.cases.relaying import Hit, naming

LONGEST, LONGEST_TITLE, LONGEST_REASON = 20_000, 200, 500
MOST_ON_CASE = 5
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_PHONE = re.compile(r"(?<![\d.])(?:\+81[- ]?|0)\d{1,4}[- ]?\d{1,4}[- ]?\d{3,4}(?![\d.])")
_ADDRESS = re.compile(
    r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}", re.I)
# Names of machines and accounts that every company has.
_COMMON = frozenset(("administrator", "admin", "root", "system", "guest", "localhost", "user", "test", "localsystem",
                     "sa", "backup", "krbtgt", "anonymous", "nt authority", "builtin", "workgroup", "local",
                     "localdomain", "server", "service", "network", "window manager", "font driver host", "unknown",
                     "anonymous logon", "local service", "network service", "example"))
_INSIDE_NAME = re.compile(r"(?<![\w.-])[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,4}\.(?:local|lan|internal|corp|intra)"
                          r"(?![a-z0-9-]|\.[a-z0-9])", re.I | re.ASCII)


def save(case: Case, by: User, given: Mapping[str, str], lesson: Lesson | None = None) -> Lesson:
    """A new draft, or a changed one. Raises Refused where title or text is missing, or it is no draft any more."""
    told = {name: _text(given.get(name, ""))[:LONGEST] for name in ("body", "body_en")}
    told |= {name: " ".join(_text(given.get(name, "")).split())[:LONGEST_TITLE] for name in ("title", "title_en")}
    if not told["title"] or not told["body"]:
        raise Refused("lessons.refused.empty")
    if bool(told["title_en"]) != bool(told["body_en"]):
        raise Refused("lessons.refused.half_english")
    family = " ".join(_text(given.get("family", "")).split())[:120]
    way = given.get("way", "")
    with transaction.atomic():
        if lesson is None:
            row = Lesson(case=case)
        else:
            row = Lesson.objects.select_for_update().get(pk=lesson.pk)
            if row.state != Lesson.State.DRAFT:
                raise Refused("lessons.refused.not_draft")
        for name, value in told.items():
            setattr(row, name, value)
        row.family, row.family_key = family, key_of("family", family) if family else ""
        row.way = way if way in KINDS else ""
        row.written_by, row.written_at = by, timezone.now()
        row.save()
        act = "lesson.written" if lesson is None else "lesson.changed"
        record(str(by.pk), act, f"lesson:{row.pk}", number=case.number)
    return row


def release(lesson: Lesson, by: User, override: str = "", *, read: str) -> Lesson:
    """From now on readers and partners see it. `read` is the `version` that the lead read.

    Refused while the case is not finished, for other words than those that were read, and while something in them
    names the victim, unless `override` says why that is none.
    """
    with transaction.atomic():
        row = Lesson.objects.select_for_update().select_related("case").get(pk=lesson.pk)
        if row.state != Lesson.State.DRAFT:
            raise Refused("lessons.refused.not_draft")
        if row.case.state not in clocks.FINISHED:
            raise Refused("lessons.refused.open_case")
        if read != version(row):
            raise Refused("lessons.refused.changed")
        found, reason = named(row), _text(override)[:LONGEST_REASON]
        if found and not reason:
            raise Refused("lessons.refused.named")
        row.state, row.released_by, row.released_at = Lesson.State.RELEASED, by, timezone.now()
        row.override = reason if found else ""
        row.save()
        # Which words they were stays out of the log: more people read it than the case.
        record(str(by.pk), "lesson.released", f"lesson:{row.pk}", number=row.case.number,
               kinds=sorted({hit.kind for hit in found}), override=row.override)
    return row


def version(lesson: Lesson) -> str:
    """Which of its wordings this is."""
    return lesson.written_at.astimezone(UTC).isoformat()


def withdraw(lesson: Lesson, by: User, reason: str) -> Lesson:
    reason = _text(reason)[:LONGEST_REASON]
    if not reason:
        raise Refused("lessons.refused.no_reason")
    with transaction.atomic():
        row = Lesson.objects.select_for_update().select_related("case").get(pk=lesson.pk)
        if row.state == Lesson.State.WITHDRAWN:
            raise Refused("lessons.refused.withdrawn")
        row.state, row.withdrawn_by, row.withdrawn_at = Lesson.State.WITHDRAWN, by, timezone.now()
        row.withdrawn_for = reason
        row.save()
        record(str(by.pk), "lesson.withdrawn", f"lesson:{row.pk}", number=row.case.number, reason=reason)
    return row


# ------------------------------------------------------------------------------------------------ what names the victim


def named(lesson: Lesson) -> list[Hit]:
    """What in a lesson names its victim: kinds as in relaying, and machine, account, address."""
    whole = "\n".join((lesson.title, lesson.body, lesson.title_en, lesson.body_en, lesson.family))
    found = {(hit.kind, hit.words): hit for hit in naming(lesson.case, whole, _inside(lesson.case))}
    told = spelling.kept(whole)
    for kind, pattern in (("mail", _MAIL), ("phone", _PHONE), ("machine", _INSIDE_NAME)):
        for match in pattern.finditer(told):
            found.setdefault((kind, match[0]), Hit(kind, match[0]))
    for match in _ADDRESS.finditer(told):
        if _is_inside(match[0]):
            found.setdefault(("address", match[0]), Hit("address", match[0]))
    return list(found.values())


def _inside(case: Case) -> Iterable[tuple[str, str]]:
    """Machines, their domain and accounts that the analysis tells of."""
    row = Analysis.objects.filter(case=case).first()
    summary: Mapping[str, Any] = row.summary if row else {}
    top = summary.get("top", [])
    machines = [str(one.get("name", "")) for one in summary.get("hosts", [])]
    # A finding's host may be the attacker's address: only the machines of the story are surely the victim's.
    yield from (("address", name) for name in machines if _is_address(name))
    machines += [str(name) for one in top for name in one.get("hosts", [])]
    machines += [str(one.get("destination") or "") for one in summary.get("spread", [])]
    for name in dict.fromkeys(machines):
        if _is_address(name):
            continue
        short, _, domain = name.partition(".")
        if _is_telling(short):
            yield "machine", short
        yield from _domain(domain)
    accounts = [one.get("name") for one in summary.get("accounts", [])]
    accounts += [name for one in top for name in one.get("accounts", [])]
    for name in dict.fromkeys(str(account) for account in accounts if account):
        before, _, rest = name.rpartition("\\")
        user, _, domain = rest.partition("@")
        if _is_telling(user):
            yield "account", user
        if before and _is_telling(before):
            yield "domain", before
        yield from _domain(domain)


def _domain(domain: str) -> Iterable[tuple[str, str]]:
    if "." in domain:
        yield "domain", domain
    label = domain.partition(".")[0]
    if _is_telling(label):
        yield "domain", label


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_telling(name: str) -> bool:
    return len(name) > 2 and name.casefold() not in _COMMON


def _is_inside(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    documentation = any(address in network for network in _DOCUMENTATION if network.version == address.version)
    return address.is_private and not address.is_loopback and not address.is_unspecified and not documentation


_DOCUMENTATION = tuple(map(ipaddress.ip_network, (
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")))


# ------------------------------------------------------------------------------------------------------------ finding


def reads(case: Case, viewer: Viewer) -> QuerySet[Lesson]:
    """Released lessons of other cases for this one's page: first of the family that it shows, then of its way in, as
    a person confirmed it or the analysis holds likeliest."""
    families = Sign.objects.filter(case=case, kind="family").values("key")
    confirmed = Sign.objects.filter(case=case, kind="way").annotate(
        begins=Concat(Value("way:"), OuterRef("way"), Value("|"))).filter(key__startswith=F("begins"))
    likely = Analysis.objects.filter(case=case).annotate(
        kind=KT("summary__entry__0__kind")).filter(kind=OuterRef("way"))
    same = ~Q(family_key="") & Q(family_key__in=families)
    return visible(Lesson, viewer).filter(state=Lesson.State.RELEASED).exclude(case=case).filter(
        same | (~Q(way="") & (Exists(confirmed) | Exists(likely)))).order_by(
        Choice(When(same, then=0), default=1), "-released_at", "pk")[:MOST_ON_CASE]


def listed(viewer: Viewer, *, words: str = "", family: str = "", way: str = "", state: str = "") -> QuerySet[Lesson]:
    """What the viewer may see, under filters; the desk also sees drafts and what was withdrawn."""
    rows = visible(Lesson, viewer).order_by(Coalesce("released_at", "written_at").desc(), "pk")
    for word in unicodedata.normalize("NFKC", words)[:200].split()[:8]:
        rows = rows.filter(Q(title__icontains=word) | Q(body__icontains=word) | Q(title_en__icontains=word)
                           | Q(body_en__icontains=word) | Q(family__icontains=word))
    if family:
        rows = rows.filter(family=family)
    if way in KINDS:
        rows = rows.filter(way=way)
    if state in Lesson.State.values:
        rows = rows.filter(state=state)
    return rows


def families(viewer: Viewer) -> list[str]:
    rows = visible(Lesson, viewer).exclude(family="").order_by("family")
    return list(rows.values_list("family", flat=True).distinct())


def _text(given: str) -> str:
    """Line ends as one sign, nothing that can't be stored or seen."""
    kept = unicodedata.normalize("NFC", given.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(c for c in kept if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs", "Cf")).strip()
