"""One analysis of one case, from its rows to its rows: claim, read, keep.

Nothing is held in a transaction while evidence is read. Whatever kills the process leaves a row that says
"running" and a lock that is free; finished parts of the run are used again.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from django.db import DatabaseError, transaction
from django.utils import timezone

from hikeshi.errors import HikeshiError, OutputError
from hikeshi.evidence.sandbox import usable_cores
from hikeshi.model.text import Text
from hikeshi.report.spread import draw_spread
from hikeshi.report.words import Language, Words
from hikeshi.triage.run import Triage, triage
from hikeshi_desk.analysis import folder, groups, service, signs, summary, timeline_store
from hikeshi_desk.analysis.change import is_same, reasons, told
from hikeshi_desk.analysis.evidence import LaidOut, lay_out
from hikeshi_desk.analysis.knowledge import knowledge_version, made_with
from hikeshi_desk.analysis.models import Analysis, State
from hikeshi_desk.analysis.words import identify_words, worth_a_look
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import signals
from hikeshi_desk.cases.models import Case
from hikeshi_desk.intake.steps import reached

log = logging.getLogger(__name__)
LISTED = 20_000  # findings a page can leaf through; all of them are in findings.jsonl
_BETWEEN_S = 2.0  # seconds between two words about progress: each is a write on the disk
_WORDS = Text("相談の文", "the asker's words")
_LANGUAGES: tuple[Language, ...] = ("ja", "en")


@dataclass(frozen=True)
class Order:
    """What one run looks at, as it was when it was claimed."""

    row: uuid.UUID
    case: uuid.UUID
    run: uuid.UUID
    knowledge: str
    by: dict[str, Any]  # the same for people
    files: tuple[tuple[str, str, int], ...]  # name, sha256, size
    words: tuple[str, ...]
    messages: int


def work(case_id: uuid.UUID) -> None:
    """Do what is asked for this case, once; returns at once if nothing is, or somebody else is at it."""
    with folder.only_one(case_id) as mine:
        if not mine:
            return
        order = _claim(case_id)
        if order is None:
            return
        reached("analysis_claimed")
        place = folder.of(order.run)
        try:
            laid, run, words = _read(order, place)
            reached("analysis_read")
            _keep(order, place, laid, run, words)
        except (HikeshiError, OSError) as error:
            log.warning("the analysis of case %s failed: %s", case_id, error)
            _fail(order, _problem(error))
        except DatabaseError:
            raise  # the row says "running" and is taken up again
        except Exception:  # the edge of the stage: our own fault, parked with a word, logged with its trace
            log.exception("the analysis of case %s failed", case_id)
            _fail(order, "fault")


def _claim(case_id: uuid.UUID) -> Order | None:
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case_id)
        row = service.row_of(case)
        if row.state not in (State.WAITING, State.RUNNING):
            return None
        if row.attempts >= service.MOST_STARTS:
            row.state, row.problem, row.finished_at, row.again = State.FAILED, "interrupted", timezone.now(), False
            row.files, row.words = case.attachments.count(), len(service.words_of(case))
            row.save()
            record("system", "analysis.failed", f"case:{case.pk}", number=case.number, problem=row.problem)
            folder.drop(row.run)
            return None
        row.state, row.started_at, row.again = State.RUNNING, timezone.now(), False
        row.attempts += 1
        row.run = row.run or uuid.uuid4()
        row.step, row.done, row.total = "", 0, 0
        row.save()
        said = service.words_of(case)
        files = tuple(case.attachments.order_by("message__at", "name", "pk").values_list("name", "sha256", "size"))
        return Order(row.pk, case.pk, row.run, knowledge_version(), made_with(), files,
                     (*said, *map(str, case.facts.values())), len(said))


def _read(order: Order, place: Path) -> tuple[LaidOut, Triage | None, dict[str, Any]]:
    """Everything slow: the evidence in children, the words in a child."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    (place / folder.PAGE).unlink(missing_ok=True)
    evidence = place / "evidence"
    words = identify_words(order.words, _WORDS) if worth_a_look(order.words) or _asks_for_it(order) else {}
    if not order.files:
        return LaidOut(), None, words
    try:
        laid = lay_out(order.files, evidence)
        run = None
        if laid.names:
            run = triage([evidence], place / "out", workers=max(1, usable_cores() - 1),
                         on_progress=_progress(order))
    finally:
        # The plain copy goes; what was read stays under out/.
        shutil.rmtree(evidence, ignore_errors=True)
    return laid, run, words


def _asks_for_it(order: Order) -> bool:
    return Case.objects.filter(pk=order.case, incident="ransomware").exists()


def _progress(order: Order) -> Callable[[str, int, int], None]:
    last = 0.0

    def advance(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _BETWEEN_S:
            return
        last = now
        try:
            Analysis.objects.filter(pk=order.row).update(step=what[:16], done=done, total=total)
        except DatabaseError:  # a word about progress is not worth the run
            log.info("progress of %s not noted", order.case)
    return advance


def _keep(order: Order, place: Path, laid: LaidOut, run: Triage | None, words: dict[str, Any]) -> None:
    new = summary.summarise(run, words, laid.names, laid.missing, len(order.files), _archives(place))
    new["made_at"], new["by"] = timezone.now().isoformat(), order.by
    called = summary.names_of(laid.names)
    rows = [summary.finding_row(f, called) for f in summary.most_severe(run.findings if run else ())[:LISTED]]
    if run is not None:
        drawn = {lang: draw_spread(run.case.story, Words(lang), ZoneInfo("Asia/Tokyo")) for lang in _LANGUAGES}
        for lang, svg in drawn.items():
            if svg:
                folder.write(place / f"spread.{lang}.svg", svg.encode("utf-8", "replace"))
        new["has_spread"] = all(drawn.values())
        new["has_timeline"] = timeline_store.keep(place / "out", place, called.of)
    folder.write(place / folder.PAGE, folder.lines(rows))
    whole = summary.answer(new)
    ids = {str(one["id"]) for one in rows}
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=order.case)
        row = service.row_of(case)
        before = row.result
        changed = _change(row, order, new, ids)
        first_or_other = before is None or bool(changed) or row.inputs != [one[1] for one in order.files]
        if changed is not None:
            row.change = changed
            row.changed_at = timezone.now() if changed or "next" in row.asked else None
        row.state, row.attempts, row.problem, row.finished_at = State.DONE, 0, "", timezone.now()
        row.result, row.run, row.knowledge, row.summary = order.run, None, order.knowledge, new
        row.inputs, row.files, row.words = [one[1] for one in order.files], len(order.files), order.messages
        row.step = ""
        moved = signs.keep(case, signs.of(run, whole, words) | signs.of_row(row))
        if first_or_other:
            record("system", "analysis.done", f"case:{case.pk}", number=case.number,
                   verdict=whole.get("verdict", ""), family=whole.get("family") or "", findings=len(rows),
                   files=len(order.files), knowledge=order.knowledge[:12], pack=order.by["pack"][:16])
        if row.again:
            row.state, row.again = State.WAITING, False
            service.put(row)
        row.save()
        transaction.on_commit(lambda: folder.drop(before))
        signals.after_commit(signals.case_analysed, order.case)
    if moved:
        groups.regroup()


def _archives(place: Path) -> list[tuple[str, str]]:
    """Archives with a problem, as the run's own list of what it read names them."""
    try:
        listed = orjson.loads((place / "out" / "manifest.json").read_bytes())
    except FileNotFoundError:
        return []
    return [(one["path"], one["problems"][0]) for one in listed.get("archives", []) if one.get("problems")]


def _change(row: Analysis, order: Order, new: dict[str, Any], ids: set[str]) -> dict[str, Any] | None:
    """What to tell people when an answer they may have passed on is another one now; None where there is nothing new
    to tell, {} where what was told is no longer so.

    Further files explain further findings by themselves: then only another family is a changed answer. Where nothing
    but the knowledge changed, the older answer stands (`held`) until a person accepts the new one.
    """
    if row.result is None or not row.summary:
        return None
    kept = row.change or {}  # not accepted yet: what people know is still the older answer
    old, now = summary.answer(row.summary), summary.answer(new)
    by_knowledge = row.knowledge != order.knowledge and row.inputs == [one[1] for one in order.files]
    was_named = old.get("verdict") in ("identified", "candidates")
    is_other = not is_same(told(old), told(now)) and (by_knowledge or was_named)
    added = len(ids - {str(one.get("id")) for one in read_rows(row.result)}) if by_knowledge else 0
    if not is_other and not added:
        return None
    before, added = kept.get("before") or told(old), added + int(kept.get("added", 0))
    if not added and is_same(before, told(now)):
        return {}
    notice = {"at": timezone.now().isoformat(), "before": before, "after": told(now), "added": added,
              "because": "knowledge" if by_knowledge else "files", "reasons": reasons(now),
              "by_before": kept.get("by_before") or row.summary.get("by", {}), "by": order.by,
              "reasons_before": kept.get("reasons_before") or reasons(old)}
    if by_knowledge:
        notice["held"] = kept.get("held") or {part: row.summary.get(part) or {} for part in ("evidence", "words")}
    return notice


def read_rows(result: uuid.UUID | None) -> list[dict[str, Any]]:
    """The findings a page shows, most severe first; none where there is no result."""
    if result is None:
        return []
    try:
        lines = (folder.of(result) / folder.PAGE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [orjson.loads(line) for line in lines]


def _problem(error: Exception) -> str:
    if isinstance(error, OutputError) or (isinstance(error, OSError) and error.errno in (28, 122)):
        return "space"
    return "fault"


def _fail(order: Order, problem: str) -> None:
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=order.case)
        row = service.row_of(case)
        row.state, row.problem, row.attempts, row.finished_at = State.FAILED, problem, 0, timezone.now()
        row.files, row.words, row.run = len(order.files), order.messages, None
        if row.again:
            row.state, row.again = State.WAITING, False
            service.put(row)
        row.save()
        record("system", "analysis.failed", f"case:{case.pk}", number=case.number, problem=problem)
    folder.drop(order.run)
