"""What people on site report: backdoors, the attack's source, its methods, and what stands before work resumes.

The same facts as in the sections below, put under the four headings of an on-site report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hikeshi.model.case import TACTICS, Entry, Story
from hikeshi.report.pieces import Block, Cell
from hikeshi.report.words import Words

_SHOWN = 12
# Makes a cell that cites an entry's records; tells a moment in the reader's zone; makes an address harmless.
CellOf = Callable[[str, Entry | None], Cell]


def onsite(story: Story, w: Words, cell: CellOf, time: Callable[[str | None], str],
           harmless: Callable[[str], str]) -> Iterator[Block]:
    """Blocks in order: a heading and a list (or a sentence, where nothing is known) for each of the four."""
    for key, cells in (("backdoors", _backdoors(story, w, cell, time)), ("source", _source(story, w, cell, harmless)),
                       ("method", _method(story, w, cell, time)), ("resume", _resume(story, w, cell, harmless))):
        yield Block("heading", w(f"onsite_{key}"))
        items = tuple(cells)
        yield Block("list", items=items) if items else Block("empty", w(f"onsite_no_{key}"))


def _backdoors(story: Story, w: Words, cell: CellOf, time: Callable[[str | None], str]) -> Iterator[Cell]:
    for one in story.persistence[:_SHOWN]:
        path = f" ({one.path})" if one.path and one.path != one.name else ""
        yield cell(f"{one.host}: {w.of('kind', one.kind)} {one.name}{path} · {time(one.time)}", one)
    if len(story.persistence) > _SHOWN:
        yield Cell(w("and_more", count=f"{len(story.persistence) - _SHOWN:,}"))


def _source(story: Story, w: Words, cell: CellOf, harmless: Callable[[str], str]) -> Iterator[Cell]:
    told = set()
    for entry in story.entry_candidates[:3]:
        if entry.source and entry.source not in told:
            told.add(entry.source)
            account = f" · {w('col_account')}: {entry.account}" if entry.account else ""
            yield cell(f"{harmless(entry.source)}: {w.of('kind', entry.kind)}{account} · "
                       f"{w('col_confidence')}: {w(entry.confidence)}", entry)
    for address in story.c2[:_SHOWN]:
        if address.value not in told:
            told.add(address.value)
            clients = ", ".join(address.clients[:5]) or "–"
            yield cell(f"{harmless(address.value)}: {w('onsite_c2', clients=clients)}", address)
    for sent in story.exfiltration[:_SHOWN]:
        if sent.destination not in told:
            told.add(sent.destination)
            yield cell(f"{harmless(sent.destination)}: {w('onsite_received', source=sent.source)}", sent)
    if told:
        yield Cell(w("onsite_relay"))


def _method(story: Story, w: Words, cell: CellOf, time: Callable[[str | None], str]) -> Iterator[Cell]:
    for tactic in TACTICS:
        steps = [step for step in story.timeline if step.tactic == tactic]
        if steps:
            techniques = ", ".join(dict.fromkeys(step.technique for step in steps if step.technique)) or "–"
            counted = f"{w.count('steps', len(steps))} · {time(steps[0].time)}"
            yield cell(f"{w.of('tactic', tactic)}: {techniques} · {counted}", steps[0])


def _resume(story: Story, w: Words, cell: CellOf, harmless: Callable[[str], str]) -> Iterator[Cell]:
    held = list(dict.fromkeys(h.name for h in (*story.compromised_hosts, *story.encrypted_hosts)))
    for key, names in (("rebuild", held), ("reset", [a.name for a in story.accounts_to_reset]),
                       ("block", [b.value for b in story.block_list])):
        if names:
            more = " …" if len(names) > _SHOWN else ""
            shown = [harmless(n) for n in names[:_SHOWN]] if key == "block" else names[:_SHOWN]
            yield cell(w(f"onsite_{key}", count=f"{len(names):,}", names=", ".join(shown) + more), None)
    if held and story.unknowns:
        yield Cell(w("onsite_open", count=f"{len(story.unknowns):,}"))
