"""Block lists to load, one a device, made from the measures that stand at that moment."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from hikeshi.model.text import Text
from hikeshi.respond.blocklist import list_id, stopped
from hikeshi.respond.devices import DEVICES, Device, Job
from hikeshi.respond.holding import Held, sort_targets
from hikeshi.respond.targets import CONTROLS, Target, target
from hikeshi_desk.cases.models import Case
from hikeshi_desk.respond import plans
from hikeshi_desk.respond.models import Measure, Response

_DATED = (1980, 1, 1, 0, 0, 0)  # a zip's first day: the time stands in the files themselves


@dataclass(frozen=True)
class Wanted:
    """What is to be blocked, and at which controls; `held` is what the plan or its nature keeps off the lists."""

    targets: tuple[Target, ...]
    where: Mapping[str, frozenset[str]]
    held: tuple[Held, ...]


def wanted(case: Case) -> Wanted:
    """Measures that stand, one target a value. The plan has the last word: it may be newer than the measure."""
    rows = Measure.objects.filter(case=case, control__in=CONTROLS, withdrawn_at=None).exclude(state="not_needed")
    found: dict[str, Target] = {}
    where: dict[str, set[str]] = {}
    force = set()
    for row in rows:
        one = target(row.subject, row.told.get("type"))
        if one is None:
            continue
        found.setdefault(one.value, one)
        where.setdefault(one.value, set()).add(row.control)
        force |= {one.value} if row.told.get("forced") else set()
    known = Response.objects.filter(case=case).only("plan").first()
    told = sort_targets(found.values(), plans.read(known.plan if known else {}), force=force)
    return Wanted(told.block, {value: frozenset(controls) for value, controls in where.items()}, told.held)


@cache
def devices() -> tuple[Device, ...]:
    """What each device is called and where it stands; without entries."""
    job = Job("000000", datetime(2026, 1, 1, tzinfo=UTC), ())
    return tuple(render(job) for render in DEVICES.values())


def made(asked: Wanted, device: str, at: datetime) -> Device | None:
    """The device's files for what stands at its controls; None where it can stop none of it."""
    known = next(one for one in devices() if one.id == device)
    mine = tuple(_bare(one) for one in asked.targets if asked.where[one.value] & set(known.controls))
    told = DEVICES[device](Job(list_id(mine), at, mine, "Asia/Tokyo"))
    return told if stopped(mine, told) else None


def _bare(one: Target) -> Target:
    return replace(one, reasons=(), records=())  # a device's file says nothing of the case


def zipped(lists: Sequence[Device], held: Sequence[Held]) -> bytes:
    """One folder a device, how to load and undo it beside, and what was left out."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for device in lists:
            for file in device.files:
                archive.writestr(zipfile.ZipInfo(f"{device.id}/{file.path}", _DATED), file.text,
                                 zipfile.ZIP_DEFLATED)
            archive.writestr(zipfile.ZipInfo(f"{device.id}/READ-ME.txt", _DATED), _how(device), zipfile.ZIP_DEFLATED)
        if held:
            lines = [f"{one.target.value}\t{_both(reason)}" for one in held for reason in one.reasons]
            archive.writestr(zipfile.ZipInfo("HELD-BACK.txt", _DATED), "\n".join(lines) + "\n", zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _how(device: Device) -> str:
    parts = [device.title, _both(device.effect), "", "■ 入れ方 / Load", *_steps(device.load), "",
             "■ 戻し方 / Undo", *_steps(device.undo)]
    if device.left_out:
        parts += ["", "■ この機器では止められないもの / What this device can't stop",
                  *(f"{one.value}: {_both(one.reason)}" for one in device.left_out)]
    return "\n".join(parts) + "\n"


def _steps(steps: Sequence[Text]) -> list[str]:
    return [f"{number}. {_both(step)}" for number, step in enumerate(steps, 1)]


def _both(text: Text) -> str:
    return f"{text.ja} / {text.en}" if text.ja != text.en else text.ja
