"""What the pages of the knowledge show: prepared values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from hikeshi.knowledge import installed
from hikeshi.knowledge.advice import advice_for
from hikeshi.knowledge.decryptors import decryptors_for, load_decryptors
from hikeshi.knowledge.families import Family, load_families
from hikeshi.knowledge.keys import key_id
from hikeshi.knowledge.pack import Pack, PackSource
from hikeshi.knowledge.pack_build import days_old
from hikeshi.knowledge.vectors import families_of_actor, load_vectors
from hikeshi.model.text import plain
from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.texts import load_texts, text
from hikeshi_desk.analysis import cards, change, packs
from hikeshi_desk.analysis.about import About, about, about_actor, of_family, source_names
from hikeshi_desk.analysis.knowledge import options
from hikeshi_desk.analysis.models import Analysis, PackUse
from hikeshi_desk.analysis.shown import language, steps_of
from hikeshi_desk.cases import labels
from hikeshi_desk.cases.access import is_desk

_MOST_CHANGED = 200
_MOST_USES = 10
_MOST_FAMILIES = 300


@dataclass(frozen=True)
class SourceRow:
    name: str
    licence: str
    version: str
    date: str
    age: str
    is_old: bool


@dataclass(frozen=True)
class Page:
    is_pack: bool
    pack: str
    name: str
    serial: str
    signer: str
    imported: str
    imported_at: labels.Moment | None
    counts: Sequence[tuple[str, str]]
    sources: Sequence[SourceRow]
    old: int
    old_days: int
    problem: str
    back_to: str
    signers: Sequence[tuple[str, bool]]
    changed: int
    uses: Sequence[Mapping[str, Any]]


def build(viewer: Viewer) -> Page:
    card, old_days = cards.card_in_use(), options().old_days
    is_pack, now = card["id"] != installed.BUILT_IN, packs.in_force()
    rows = [_source(PackSource(**one), old_days) for one in card["sources"]]
    problem = installed.problem()
    return Page(
        is_pack, card["id"], name_of(installed.installed()), f"{card['serial']}" if is_pack else "",
        key_id(card["signer"]) if card["signer"] else "",
        now.began_by.name if now and now.began_by else text("knowledge.page.command_line"),
        labels.moment(now.began_at) if now and now.began_by else None, _counts(card["counts"]), rows,
        sum(row.is_old for row in rows), old_days, problem.what if problem else "", name_of(packs.before()),
        [(one.id, is_pack and one.public == card["signer"]) for one in installed.trusted()],
        visible(Analysis, viewer).exclude(changed_at=None).count() if is_desk(viewer) else 0,
        [_use(one) for one in visible(PackUse, viewer).select_related("began_by", "ended_by")[:_MOST_USES]])


def name_of(pack: Pack | None) -> str:
    return text("knowledge.page.pack", name=plain(pack.name), serial=pack.serial) if pack else text(
        "knowledge.page.built_in")


def _use(one: PackUse) -> dict[str, Any]:
    return {"name": text("knowledge.page.pack", name=plain(one.name), serial=one.serial), "signer": key_id(one.signer),
            "began": labels.moment(one.began_at), "ended": labels.moment(one.ended_at),
            "by": one.began_by.name if one.began_by else text("knowledge.page.command_line"),
            "ended_by": one.ended_by.name if one.ended_by else ""}


def _counts(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(text(f"knowledge.count.{name}"), f"{counts.get(name, 0):,}") for name in cards.COUNTED]


def _source(one: PackSource, old_days: int) -> SourceRow:
    days = days_old(one, timezone.localdate())
    age = text("knowledge.page.age_unknown") if days is None else text("knowledge.page.age", days=f"{max(days, 0):,}")
    return SourceRow(plain(one.name), plain(one.licence), plain(one.version),
                     one.date if days is not None else "", age, days is not None and days > old_days)


# A pack that waits

@dataclass(frozen=True)
class ChangeRow:
    kind: str
    added: int
    removed: int
    changed: int
    values: Sequence[tuple[str, str]]
    more: int


def waiting(one: packs.Waiting) -> dict[str, Any]:
    card = one.card
    rows = [ChangeRow(_kind(told["kind"]), told["added"], told["removed"], told["changed"],
                      [(text(f"knowledge.diff.{what}"), plain(value)) for what, value in told["values"]],
                      told["added"] + told["removed"] + told["changed"] - len(told["values"]))
            for told in one.changes]
    old_days = options().old_days
    return {"sha256": one.sha256, "name": plain(card["name"]), "serial": card["serial"], "pack": card["id"],
            "signer": key_id(card["signer"]), "counts": _counts({**cards.card_in_use()["counts"], **card["counts"]}),
            "sources": [_source(PackSource(**source), old_days) for source in card["sources"]], "changes": rows,
            "in_use": name_of(installed.installed())}


def _kind(kind: str) -> str:
    key = f"knowledge.kind.{kind}"
    return text(key) if key in load_texts() else kind


# Families and actors

def families(asked: str) -> dict[str, Any]:
    """Families and actors by a part of any name, those that begin with it first. Without a question those of whom more
    is known than their name."""
    wanted, known = asked.strip().casefold(), load_families().by_id.values()
    dated = {one.family for one in load_vectors() if one.family}
    more = dated | {one.family for one in load_decryptors()}

    def names(one: Family) -> list[str]:
        return [one.name, *one.names, *(actor.name for actor in one.actors)]

    found = [one for one in known if any(wanted in name.casefold() for name in names(one))] if wanted else [
        one for one in known if one.actors or one.id in more]
    found.sort(key=lambda one: (not any(n.casefold().startswith(wanted) for n in names(one)), one.name.casefold()))
    rows = [{"id": one.id, "name": plain(one.name), "names": [plain(n) for n in one.names if n != one.name][:6],
             "actors": [plain(n) for n in dict.fromkeys(a.name for a in one.actors)][:6], "is_dated": one.id in dated}
            for one in found[:_MOST_FAMILIES]]
    return {"rows": rows, "found": f"{len(found):,}", "more": len(found) - len(rows), "all": f"{len(known):,}"}


def family(id: str, viewer: Viewer) -> dict[str, Any] | None:
    known = load_families()
    found, here = known.by_id.get(id), language()
    if found is None:
        return None
    advice = advice_for(found.id, "ransomware")
    steps, avoid, facts = steps_of(advice, here)
    desk = is_desk(viewer)
    return {"name": plain(found.name), "names": [plain(n) for n in found.names if n != found.name],
            "kin": [(k, plain(known.by_id[k].name)) for k in found.kin if k in known.by_id],
            "about": about(found.id, list(of_family(found.name)[:4000]), for_desk=desk),
            "decryptors": [{"by": plain(one.offered_by), "announced": one.announced,
                            "covers": getattr(one.covers, here), "limits": getattr(one.limits, here),
                            "source": source_names([one.source]), "unverified": one.status == "unverified",
                            "status": one.status} for one in decryptors_for(found.id)],
            "steps": steps, "avoid": avoid, "facts": facts, "advice_from": source_names(["hikeshi"])}


def actor(name: str, viewer: Viewer) -> dict[str, Any] | None:
    found = families_of_actor(name)
    spelt = next((a.name for one in found for a in one.actors if a.name.casefold() == name.casefold()), None) or next(
        (one.actor for one in load_vectors() if one.actor.casefold() == name.casefold() and name), None)
    if spelt is None:
        return None
    told: About = about_actor(spelt, for_desk=is_desk(viewer))
    return {"name": plain(spelt), "families": [(one.id, plain(one.name)) for one in found], "about": told}


# Changed answers

def changed(viewer: Viewer) -> list[dict[str, Any]]:
    rows = visible(Analysis, viewer).exclude(changed_at=None).select_related("case").order_by("-changed_at")
    return [{"id": row.case_id, "number": row.case.number, "title": plain(row.case.title),
             "at": labels.moment(row.changed_at), "notices": change.all_of(row)} for row in rows[:_MOST_CHANGED]]
