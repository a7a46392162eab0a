"""Words to and from the further parties of a case. The desk stands between them: nobody learns who the others are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from hikeshi_desk.accounts.models import User
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks, rules, search, spelling
from hikeshi_desk.cases.acting import UNCHANGED, Refused, act, role_of, said
from hikeshi_desk.cases.acts import speak
from hikeshi_desk.cases.models import Case, Message, Party, Task

_LONGEST = 20_000
_COMPANY = (
    "株式会社", "有限会社", "合同会社", "合資会社", "一般社団法人", "一般財団法人", "公益財団法人", "独立行政法人",
    "国立大学法人", "学校法人", "医療法人", "(株)", "(有)",
    "co.,ltd.", "co., ltd.", "inc.", "corporation", "ltd.")
# Parts of names that name nobody.
_GENERAL = frozenset((
    "inc", "ltd", "co", "corp", "company", "group", "the", "and", "hospital", "city", "office", "university", "school",
    "bank", "center", "centre", "holdings", "グループ", "病院", "支店", "本社", "事務所", "担当", "情報",
    "情報システム"))
_HAN = re.compile(r"[\u3400-\u9fff々]+")
# How a name ends that is no person's: its halves are ordinary words.
_OF_PLACES = (
    "会社", "商事", "商店", "商会", "工業", "工務店", "産業", "製作所", "大学", "学校", "高校", "学園", "病院", "医院",
    "銀行", "金庫", "協会", "組合", "役所", "役場", "法人", "研究所", "事務所", "支店", "支所", "本社", "本店", "建設",
    "電機", "電力", "物流", "運輸", "印刷", "保険", "証券", "担当", "担当者", "都", "府", "県", "市", "町", "村", "庁",
    "省", "局", "部", "課", "室")
_MAILBOXES = frozenset((
    "info", "admin", "administrator", "support", "contact", "sales", "security", "system", "systems", "desk", "csirt",
    "helpdesk", "office", "mail", "webmaster", "postmaster", "noreply", "user", "test", "soumu", "jimu", "keiri",
    "jinji", "eigyo", "koho", "joho", "jouhou", "example", "abuse", "root"))
_PROVIDERS = frozenset((
    "gmail", "yahoo", "outlook", "hotmail", "icloud", "live", "proton", "protonmail", "docomo", "ezweb", "softbank",
    "nifty", "biglobe", "googlemail"))
_SHORTEST_DIGITS = 7  # fewer digits are no phone number


@dataclass(frozen=True)
class Hit:
    """What in a text names the other side: kind (name, mail, domain, phone, organisation) and the words."""

    kind: str
    words: str


def tell(party: Party, by: User, *, body: str, message_id: UUID | None = None) -> Message | None:
    """A party writes to the desk; it stands in the party's lane and comes up in the queue. The same id twice is one.

    None when it was there already. Raises Refused when the party was removed in the meantime.
    """
    body = said(body, "cases.refused.empty")[:_LONGEST]
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=party.case_id)
        party = Party.objects.select_related("organisation").get(pk=party.pk)
        if party.removed_at:
            raise Refused("cases.refused.party_gone")
        if message_id and Message.objects.filter(pk=message_id).exists():
            return None
        at = timezone.now()
        message = Message(case=case, kind=Message.Kind.PARTY, channel="web", author=by, author_role="partner",
                          body=body, at=at, party=party)
        if message_id:
            message.pk = message_id
        message.save(force_insert=True)
        rule = rules.other_tasks()["party_word"]
        if not case.tasks.filter(kind=rule.id, done_at=None).exists():
            Task.objects.create(case=case, kind=rule.id, title=rule.ja, position=40, due_at=at)
        case.last_word_at, case.last_word_by = at, "party"
        search.index(case, [body], internal=True)
        clocks.settle(case)
        case.save()
        record(str(by.pk), "case.party_word", f"case:{case.pk}", number=case.number,
               organisation=party.organisation.name, length=len(body))
        return message


@act
def relay(case: Case, by: User, *, to: Party | None, body: str, override: str = "",
          message_id: UUID | None = None) -> dict[str, Any]:
    """The desk's words to a party, or to the asker (None), in its own name.

    Refused while the text names one of the other sides (`hits`), unless `override` says why that is right.
    Told to the asker, it does not count as the answer they wait for.
    """
    body = said(body, "cases.refused.empty")[:_LONGEST]
    if message_id and Message.objects.filter(pk=message_id).exists():
        return UNCHANGED
    if to is not None:
        to = case.parties.select_related("organisation").filter(pk=to.pk, removed_at=None).first()
        if to is None:
            raise Refused("cases.refused.party_gone")
    found = hits(case, body, to)
    if found and not override.strip():
        raise Refused("cases.refused.names_other_side")
    at = timezone.now()
    if to is None:
        speak(case, by, body, at, message_id, stops=False)
    else:
        message = Message(case=case, kind=Message.Kind.TO_PARTY, channel="web", author=by, author_role=role_of(by),
                          body=body, at=at, party=to)
        if message_id:
            message.pk = message_id
        message.save(force_insert=True)
        search.index(case, [body], internal=True)
        newest = case.messages.filter(kind=Message.Kind.PARTY).order_by("-at").first()
        if newest is None or newest.party_id == to.pk:
            case.tasks.filter(kind="party_word", done_at=None).update(done_at=at, done_by=by)
    # Which words they were stays out of the log: it is read by more people than the case.
    return {"organisation": to.organisation.name if to else "", "length": len(body),
            "kinds": sorted({hit.kind for hit in found}), "override": override.strip()[:500]}


def hits(case: Case, body: str, to: Party | None) -> list[Hit]:
    """What in the text names a side other than the one it goes to. Widths, case, spaces and [.] hide nothing."""
    return found_in(body, _names(case, to))


def naming(case: Case, body: str, more: Iterable[tuple[str, str]] = ()) -> list[Hit]:
    """What in the text names anybody of the case: who asked, for whom, every party. For words that leave it.

    Halves of a name count, too: "Yamada Taro", 「山田太郎」 and yamada@ are known by "Yamada" and 「山田」. A name
    in an ordinary word does not (spelling.stands). `more` are further (kind, words) to look for.
    """
    pairs = [pair for one in (*_asker_names(case), *_names(case, None)) for pair in _with_parts(*one)]
    phones = [pair for pair in pairs if pair[0] == "phone"]
    text, text_plain = spelling.kept(body), spelling.plain(body)
    words = dict.fromkeys(pair for pair in (*pairs, *more) if pair[0] != "phone")
    return found_in(body, phones) + [Hit(kind, one) for kind, one in words if spelling.stands(one, text, text_plain)]


def found_in(body: str, names: Iterable[tuple[str, str]]) -> list[Hit]:
    """Which of these words (kind, words) stand in the text, however they are written."""
    found: dict[str, Hit] = {}
    plain, digits = spelling.plain(body), _digits(body)
    for kind, words in names:
        looked = _digits(words) if kind == "phone" else spelling.plain(words)
        if kind == "phone":
            is_there = any(len(run) >= _SHORTEST_DIGITS and run in digits for run in looked.split("|"))
        else:
            is_there = len(looked) >= 2 and looked in plain
        if is_there:
            found.setdefault(f"{kind}:{looked}", Hit(kind, words))
    return list(found.values())


def _with_parts(kind: str, words: str) -> Iterable[tuple[str, str]]:
    yield kind, words
    told = unicodedata.normalize("NFKC", words).strip()
    if kind in ("name", "organisation"):
        parts = re.split(r"[\s\u30fb・,、]+", told)
        if len(parts) > 1:
            yield from ((kind, part) for part in parts if _is_telling(part))
        elif kind == "name" and 3 <= len(told) <= 5 and _HAN.fullmatch(told) and not told.endswith(_OF_PLACES):
            yield from ((kind, half) for half in (told[:2], told[-2:]))
    elif kind == "mail":
        yield from (("name", part) for part in re.split(r"[^a-z]+", told.partition("@")[0].casefold())
                    if len(part) > 3 and part not in _MAILBOXES)
    elif kind == "domain":
        label = told.casefold().partition(".")[0]
        if len(label) > 3 and label not in _MAILBOXES | _PROVIDERS:
            yield kind, label


def _is_telling(part: str) -> bool:
    if spelling.plain(part) in _GENERAL:
        return False
    return len(spelling.plain(part)) >= (3 if part.isascii() else 2) or bool(_HAN.fullmatch(part))


def _names(case: Case, to: Party | None) -> Iterable[tuple[str, str]]:
    """Every word by which the other sides can be known."""
    if to is not None:
        yield from _asker_names(case)
    others = case.parties.select_related("organisation")
    for party in others.exclude(pk=to.pk) if to is not None else others:
        yield from _organisation(party.organisation.name)
        yield from _organisation(party.organisation.name_en)
        people = User.objects.filter(memberships__organisation=party.organisation).values_list("name", "email")
        for name, mail in people.distinct():
            yield "name", name
            yield from _mail(mail)


def _asker_names(case: Case) -> Iterable[tuple[str, str]]:
    yield "name", case.asker_name
    yield from _organisation(case.asker_name)
    yield from _organisation(case.on_behalf)
    if case.organisation:
        yield from _organisation(case.organisation.name)
        yield from _organisation(case.organisation.name_en)
    for words in (case.contact, *map(str, case.facts.values())):
        for word in unicodedata.normalize("NFKC", words).replace(",", " ").replace("、", " ").split():
            if "@" in word:
                yield from _mail(word.strip("<>()[];:"))
        if words == case.contact or sum(sign.isdigit() for sign in words) in range(9, 16):
            yield "phone", words
    for mail in case.messages.filter(kind=Message.Kind.ASKER).values_list("body", flat=True)[:50]:
        for word in unicodedata.normalize("NFKC", mail[:_LONGEST]).split():
            if "@" in word and "." in word.rpartition("@")[2]:
                yield from _mail(_ascii_mail(word))


def _ascii_mail(word: str) -> str:
    """The address in a run of signs: Japanese has no space before it."""
    local, _, domain = word.rpartition("@")
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-")
    start = len(local)
    while start and local[start - 1] in allowed:
        start -= 1
    end = 0
    while end < len(domain) and domain[end] in allowed:
        end += 1
    return f"{local[start:]}@{domain[:end].strip('.')}"


def _mail(address: str) -> Iterable[tuple[str, str]]:
    local, at, domain = address.strip().rpartition("@")
    if at and local and domain:
        yield "mail", address.strip()
        yield "domain", domain


def _organisation(name: str) -> Iterable[tuple[str, str]]:
    """The name as it is and without its legal form."""
    yield "organisation", name
    short = unicodedata.normalize("NFKC", name)
    for form in _COMPANY:
        at = short.casefold().find(form)
        if at >= 0:
            short = short[:at] + short[at + len(form):]
    yield "organisation", short.strip(" ,.")


def _digits(text: str) -> str:
    """Only the digits, with a mark where words stand between them; +81 is the leading 0."""
    out = []
    for sign in unicodedata.normalize("NFKC", text).replace("+81", "0"):
        if sign.isdigit():
            out.append(sign)
        elif sign.isalpha():
            out.append("|")
    return "".join(out).strip("|")
