"""Search over everything a viewer may see, two-character Japanese words included.

Texts are brought to one form (NFKC, case folded), cut into pairs of signs and kept as SearchGram rows in the
transaction that writes the text. A query's words must all occur; a hit is checked against the text itself,
because pairs alone can lie ("abc" and "bcd" are in "ab bc cd"). Newest first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast, Coalesce

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.cases.models import Attachment, Case, Message, OpinionPoint, SearchGram, Task, TriageDecision

MOST = 50  # hits of one answer
_CANDIDATES = 400  # looked at for one answer
_COUNTED = 160_000  # index entries read to see which pairs are rare, shared among the pairs of a query
_SAMPLE = 20_000  # a pair seen more often than this counts as common
_PAIRS = 8  # the rarest pairs find the candidates; the text itself decides
_LONGEST_QUERY = 100
_CJK = 0x2E7F  # signs above are written without spaces
_LONGEST_TEXT = 200_000  # of one entry; longer texts are found by their beginning


def folded(text: str) -> str:
    """One spelling for what looks the same; a line break inside a Japanese word is none."""
    out = ""
    for line in unicodedata.normalize("NFKC", text).casefold().splitlines():
        line = " ".join(line.split())
        glued = bool(out) and bool(line) and ord(out[-1]) > _CJK and ord(line[0]) > _CJK
        out += line if glued or not out else f" {line}"
    return out.strip()


def pairs(text: str) -> set[str]:
    """Every two signs that stand together in a word; a word of one sign is itself."""
    found: set[str] = set()
    for word in folded(text).split():
        if len(word) == 1:
            found.add(word)
        found.update(map("".join, pairwise(word)))
    return found


def index(case: Case, texts: Iterable[str], *, internal: bool) -> None:
    """Makes texts findable. Called inside the transaction that writes them; doing so twice changes nothing."""
    grams: set[str] = set()
    for text in texts:
        grams |= pairs(text[:_LONGEST_TEXT])
    rows = [SearchGram(gram=gram, internal=internal, serial=case.serial) for gram in sorted(grams) if "\0" not in gram]
    SearchGram.objects.bulk_create(rows, batch_size=300, ignore_conflicts=True)


def index_case(case: Case) -> None:
    """What the case itself says: its number and title for all who see it, the asker for the desk only."""
    index(case, [case.number, case.title], internal=False)
    index(case, [case.asker_name, case.contact, case.on_behalf, *map(str, case.facts.values())], internal=True)


def find(query: str, viewer: Viewer) -> list[Case]:
    """Cases the viewer may see that hold every word of the query, newest first, at most MOST."""
    from hikeshi_desk.cases.access import is_desk, readable_serials

    words = folded(query[:_LONGEST_QUERY].replace("\0", " ")).split()
    grams = sorted({gram for word in words for gram in pairs(word)})
    if not grams:
        return []
    desk = is_desk(viewer)
    serials = _candidates(grams, levels=(False, True) if desk else (False,),
                          within=None if desk else readable_serials(viewer))
    cases = list(visible(Case, viewer).filter(serial__in=serials).select_related("owner", "team").order_by("-serial"))
    if len(grams) == 1 and len(words) == 1:
        return cases[:MOST]
    return _checked(cases, words, desk=desk)


def _candidates(grams: Sequence[str], *, levels: tuple[bool, ...], within: QuerySet[Case] | None) -> list[int]:
    """Serials with all pairs, found by walking the rarest one from its newest end."""
    rarest, *others = _rarest_first(grams)[:_PAIRS]
    found = SearchGram.objects.filter(gram=rarest, internal__in=levels)
    if within is not None:
        found = found.filter(serial__in=within)
    for gram in others:
        # Wrapped and as a range, so that PostgreSQL asks row by row while it walks: as a join or a hash it reads
        # every row of every pair first.
        found = found.filter(Coalesce(Exists(SearchGram.objects.filter(
            gram=gram, internal__in=levels, serial__gte=OuterRef("serial"), serial__lte=OuterRef("serial"))), False))
    # One walk down the key each: the newest of both are among them.
    walks = [found.filter(internal=level).order_by("-serial").values_list("serial", flat=True)[:_CANDIDATES]
             for level in levels]
    try:
        parts = [walk.query.sql_with_params() for walk in walks]
    except EmptyResultSet:  # a viewer who may read nothing
        return []
    with connection.cursor() as cursor:
        cursor.execute(" UNION ".join(f"SELECT serial FROM ({sql}) AS walk_{place}"
                                      for place, (sql, _) in enumerate(parts)),
                       [value for _, params in parts for value in params])
        serials = [row[0] for row in cursor.fetchall()]
    return sorted(serials, reverse=True)[:_CANDIDATES]


def _rarest_first(grams: Sequence[str]) -> list[str]:
    """Pairs by how often they occur, all in one statement, each counted up to a limit.

    The limit must lie above what digits of case numbers reach: with all pairs "common" every case would be walked."""
    if len(grams) == 1:
        return list(grams)
    limit = min(_SAMPLE, _COUNTED // len(grams))
    table = connection.ops.quote_name(SearchGram._meta.db_table)
    one = f"(SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE gram = %s LIMIT {limit}) AS seen)"
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join([one] * len(grams)), list(grams))
        counts: tuple[int, ...] = cursor.fetchone()
    return [gram for _, gram in sorted(zip(counts, grams, strict=True))]


def _checked(cases: list[Case], words: Sequence[str], *, desk: bool) -> list[Case]:
    hits: list[Case] = []
    # Nearly always the newest are the answer; else all others at once: statements don't grow with what was near.
    for batch in (cases[:MOST], cases[MOST:]):
        texts = _texts(batch, desk=desk)
        hits += [case for case in batch if all(any(word in text for text in texts[case.pk]) for word in words)]
        if len(hits) >= MOST or len(cases) <= MOST:
            break
    return hits[:MOST]


def _texts(cases: Sequence[Case], *, desk: bool) -> dict[object, list[str]]:
    """What each case says, as far as the viewer may search it; one statement."""
    found: dict[object, list[str]] = {case.pk: [folded(case.number), folded(case.title)] for case in cases}
    if desk:
        for case in cases:
            found[case.pk] += map(folded, (case.asker_name, case.contact, case.on_behalf,
                                           *map(str, case.facts.values())))
    first, *others = _written([case.pk for case in cases], desk=desk)
    for case_id, body in first.union(*others, all=True):
        found[case_id].append(folded(body[:_LONGEST_TEXT]))
    return found


def _written(ids: Sequence[object], *, desk: bool) -> list[QuerySet[Any, Any]]:
    messages = Message.objects.filter(case__in=ids).order_by()
    if not desk:
        messages = messages.filter(kind__in=(Message.Kind.ASKER, Message.Kind.REPLY))
    rows: list[tuple[QuerySet[Any], str]] = [
        (messages, "body"), (Attachment.objects.filter(case__in=ids), "name")]
    if desk:
        points = OpinionPoint.objects.filter(case__in=ids).order_by()
        rows += [(TriageDecision.objects.filter(case__in=ids).order_by(), "reason"),
                 (Task.objects.filter(case__in=ids).exclude(result="").order_by(), "result"),
                 (points, "claim"), (points.exclude(comment=""), "comment")]
    # Named alike: the parts of a union must have the same columns.
    return [query.annotate(words=Cast(column, TextField())).values_list("case_id", "words") for query, column in rows]
