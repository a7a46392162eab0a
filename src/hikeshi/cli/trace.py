"""`hikeshi trace`: how they got in and how far they went."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hikeshi.cli.output import count, defang, fitted, plain, say, say_not_read, short_name, wrapped, write_json_lines
from hikeshi.cli.progress import progress

if TYPE_CHECKING:
    from hikeshi.model.case import Entry, Story
    from hikeshi.triage.trace import Traced

_SHOWN = 12
_STEPS = 60


@click.command("trace")
@click.argument("evidence", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line. JSON Lines")
@click.option("--zone", help="Zone of times that name none, e.g. Asia/Tokyo or +09:00. 時刻帯")
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.option(
    "--known",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV of the company's own work: kind,value,why,from,to (kind: host, account, address). 会社の作業の一覧",
)
@click.option(
    "--places",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV of networks: network,place,latitude,longitude; tells logons from new places. 場所の一覧",
)
@click.pass_context
def command(
    ctx: click.Context,
    evidence: tuple[Path, ...],
    as_json: bool,
    zone: str | None,
    workers: int | None,
    known: Path | None,
    places: Path | None,
) -> None:
    """How they got in, how far they went, what they took. 侵入経路と横展開

    Reads event logs, VPN, firewall, proxy, web and Linux logs, also inside archives. Works with what is
    there: one server's event logs give that server's part of the story.
    """
    from hikeshi.triage.trace import trace_evidence

    began = time.monotonic()
    with progress() as advance:
        traced = trace_evidence(evidence, workers=workers, zone=zone, known=known, places=places, on_progress=advance)
    story = traced.story
    if as_json:
        write_json_lines(json_rows(story))
    else:
        _print(traced)
    sys.stdout.flush()
    say_not_read([(item.path, item.reason) for item in traced.not_read])
    say(
        f"{count(sum(traced.formats.values()), 'file')}, {count(traced.records, 'record')}, "
        f"{traced.rejected:,} damaged, {count(len(traced.not_read), 'file')} not read, "
        f"{time.monotonic() - began:.1f} s"
    )
    if not traced.records and not found(story):
        ctx.exit(3)
    ctx.exit(1 if found(story) else 0)


def found(story: Story) -> bool:
    """Whether there is anything a responder must look at."""
    return bool(
        story.entry_candidates
        or story.compromised_hosts
        or story.compromised_accounts
        or story.c2
        or story.log_gaps
        or story.encrypted_hosts
        or story.unexplained
    )


def json_rows(story: Story) -> Iterator[dict[str, Any]]:
    """Steps and edges as flat objects: kind, time, source, destination, account, technique, confidence, records."""
    for e in story.entry_candidates:
        yield _row(
            "entry",
            e,
            time=e.time,
            source=e.source,
            destination=e.host,
            account=e.account,
            technique=e.technique,
            entry=e.kind,
            rank=e.rank,
            reasons=[r.to_dict() for r in e.reasons],
            against=[r.to_dict() for r in e.against],
        )
    for s in story.spread:
        yield _row(
            "spread",
            s,
            time=s.time,
            source=s.source,
            destination=s.destination,
            account=s.account,
            technique=s.technique,
            method=s.method,
        )
    for h in story.compromised_hosts:
        yield _row(
            "compromised_host",
            h,
            time=h.first,
            destination=h.name,
            last=h.last,
            addresses=list(h.addresses),
            reasons=[r.to_dict() for r in h.reasons],
        )
    for h in story.touched_hosts:
        yield _row("touched_host", h, time=h.first, destination=h.name, reasons=[r.to_dict() for r in h.reasons])
    for h in story.encrypted_hosts:
        yield _row("encrypted_host", h, time=h.first, destination=h.name, technique="T1486")
    for a in story.compromised_accounts:
        yield _row(
            "compromised_account", a, account=a.name, account_kind=a.kind, reasons=[r.to_dict() for r in a.reasons]
        )
    for c in story.c2:
        yield _row(
            "c2",
            c,
            time=c.first,
            source=", ".join(c.clients) or None,
            destination=c.value,
            technique="T1071",
            known=c.known,
            last=c.last,
        )
    for p in story.staging:
        yield _row("staging", p, time=p.time, destination=p.host, technique="T1074", path=p.path)
    for x in story.exfiltration:
        yield _row(
            "exfiltration",
            x,
            time=x.first,
            source=x.source,
            destination=x.destination,
            technique="T1048",
            bytes=x.bytes,
            last=x.last,
        )
    for k in story.persistence:
        yield _row(
            "persistence",
            k,
            time=k.time,
            destination=k.host,
            technique=_PERSISTENCE.get(k.kind),
            persistence=k.kind,
            name=k.name,
            path=k.path,
        )
    for g in story.log_gaps:
        yield _row(
            "log_gap",
            g,
            time=g.last if g.kind == "cleared" else g.first,
            destination=g.host,
            technique="T1070.001" if g.kind == "cleared" else None,
            gap=g.kind,
            log=g.log,
        )
    for o in story.clock_offsets:
        yield _row("clock_offset", o, destination=o.host, seconds=o.seconds, reason=o.reason.to_dict())
    for t in story.timeline:
        yield _row("step", t, time=t.time, destination=t.host, technique=t.technique, tactic=t.tactic, ja=t.ja, en=t.en)
    for r in story.unexplained:
        yield _row("unexplained", r, destination=r.subject, reason=r.reason.to_dict())
    for n in story.unknowns:
        yield _row("unknown", n, destination=n.host, log=n.log, reason=n.reason.to_dict())
    for rank in story.ranking:
        yield _row(
            "rank",
            rank,
            destination=rank.name if rank.kind == "host" else None,
            account=rank.name if rank.kind == "account" else None,
            place=rank.place,
            score=rank.score,
            logons=rank.logons,
            partners=rank.partners,
            new_partners=rank.new_partners,
            held=rank.held,
        )
    for u in story.unusual:
        yield _row(
            "unusual_hour",
            u,
            time=u.time,
            score=u.score,
            new_ties=u.new_ties,
            failures=u.failures,
            accounts=list(u.accounts),
        )
    for r in story.explained:
        yield _row("explained", r, destination=r.subject, reason=r.reason.to_dict())


_PERSISTENCE = {
    "service": "T1543.003",
    "scheduled_task": "T1053.005",
    "run_key": "T1547.001",
    "account": "T1136",
    "web_shell": "T1505.003",
    "remote_tool": "T1219",
}


def _row(
    kind: str,
    of: Entry,
    *,
    time: str | None = None,
    source: str | None = None,
    destination: str | None = None,
    account: str | None = None,
    technique: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    return {
        "kind": kind,
        "time": time,
        "source": source,
        "destination": destination,
        "account": account,
        "technique": technique,
        "confidence": of.confidence,
        "records": [r.to_dict() for r in of.records],
        **more,
    }


def _print(traced: Traced) -> None:
    """The answer, the steps, what is unknown, the next command."""
    story = traced.story
    if not traced.records and not found(story):
        _put("", "調べられる記録がありません。", "No record was read: nothing can be said about an intrusion.")
    elif not found(story):
        click.echo("侵害の跡は見つかりませんでした。 No trace of an intrusion was found.")
    else:
        _answer(story)
        _steps(story)
    _ranks(story)
    _unknown(traced)
    click.echo("\n次 Next: hikeshi triage EVIDENCE --out RESULT   (報告書 writes the report)")


def _answer(story: Story) -> None:
    best = story.entry_candidates[0] if story.entry_candidates else None
    if best is not None:
        _line(
            "侵入経路 Entry",
            f"{best.kind}  {defang(best.source or '?')} → {best.host or '?'}  "
            f"{best.account or ''}  {_short(best.time)}  [{best.confidence}]",
        )
        for reason in best.reasons[:4]:
            _put("    ", reason.ja, reason.en)
    else:
        _line("侵入経路 Entry", "わかりません unknown")
    if story.spread:
        click.echo(f"広がり Spread ({len(story.spread)}):")
        for s in story.spread[:_STEPS]:
            step = plain(f"{s.source or '?'} → {s.destination}  {s.method}  {s.account or ''}  [{s.confidence}]")
            click.echo(f"  {_short(s.time)}  {fitted(step, 57)}")
        if len(story.spread) > _STEPS:
            click.echo(f"  … 他 {len(story.spread) - _STEPS:,} 件 more (--json)")
    _many("侵害された機器 Hosts", (h.name for h in story.compromised_hosts))
    _many("接触だけの機器 Touched", (h.name for h in story.touched_hosts))
    _many("暗号化 Encrypted", (h.name for h in story.encrypted_hosts))
    _many("アカウント Accounts", (a.name for a in story.compromised_accounts))
    _many("通信先 C2", (defang(c.value) for c in story.c2))
    _many(
        "持ち出し Exfiltration",
        (
            f"{x.source} → {defang(x.destination)}" + (f" ({x.bytes:,} B)" if x.bytes else "")
            for x in story.exfiltration
        ),
    )
    _many("居座り Persistence", (f"{p.host}: {p.kind} {p.name}" for p in story.persistence))


def _steps(story: Story) -> None:
    if not story.timeline:
        return
    click.echo("\n時系列 Timeline (UTC)")
    for step in story.timeline[:_STEPS]:
        where = step.records[0]
        place = where.record_id if where.record_id is not None else where.line
        click.echo(f"  {_short(step.time)}")
        _put("    ", step.ja, step.en)
        more = f" +{len(step.records) - 1}" if len(step.records) > 1 else ""
        click.echo(f"    {short_name(where.path)}{f' #{place}' if place is not None else ''}{more}")
    if len(story.timeline) > _STEPS:
        click.echo(f"  … 他 {len(story.timeline) - _STEPS:,} 件 more (--json)")


def _ranks(story: Story) -> None:
    """The machines and accounts that matter most among all logons; * is held by the attacker."""
    for kind, label in (("host", "機器の重み Ranked hosts"), ("account", "アカウントの重み Ranked accounts")):
        named = [
            f"{r.name}{'*' if r.held else ''} {r.score:.1%}" for r in story.ranking if r.kind == kind and r.partners
        ]
        if len(named) > 1:
            _line(label, ", ".join(named[:6]))
    if story.unusual:
        _line(
            "変わった時間 Unusual hours (UTC)",
            ", ".join(f"{_short(u.time)[5:16]} (+{u.new_ties}, {u.failures:,} failed)" for u in story.unusual[:5]),
        )


def _unknown(traced: Traced) -> None:
    """What the evidence can't tell, and which log would."""
    story, formats = traced.story, set(traced.formats)
    open_: list[tuple[str, str]] = []
    if not story.unknowns and not story.entry_candidates:
        open_.append(
            (
                "侵入経路は不明です。VPN、ファイアウォール、公開サーバー、メールのログが必要です。",
                "The way in is unknown: logs of VPN, firewall, public servers or mail would tell.",
            )
        )
    if "evtx" not in formats:
        open_.append(
            (
                "機器間の移動は見えません。Windowsのイベントログが必要です。",
                "Movement between machines can't be seen: Windows event logs would tell.",
            )
        )
    for u in story.unknowns[:8]:
        where = f"{u.host} " if u.host else ""
        open_.append((f"{where}[{u.log}] {u.reason.ja}。", f"{where}[{u.log}] {u.reason.en}."))
    open_ += [(f"{r.subject}: {r.reason.ja}。", f"{r.subject}: {r.reason.en}.") for r in story.unexplained[:5]]
    if open_:
        click.echo("\nわからないこと Unknown")
        for ja, en in open_:
            _put("  ", ja, en)


def _many(label: str, values: Iterable[str]) -> None:
    names = list(dict.fromkeys(values))
    if names:
        more = f" … +{len(names) - _SHOWN}" if len(names) > _SHOWN else ""
        _line(f"{label} ({len(names)})", ", ".join(names[:_SHOWN]) + more)


def _line(label: str, text: str) -> None:
    for number, line in enumerate(wrapped(f"{label}: {plain(text)}", 78)):
        click.echo(f"  {line}" if number else line)


def _put(lead: str, *sentences: str) -> None:
    """Each language on its own lines, under one indent, in 80 columns."""
    for sentence in sentences:
        for line in wrapped(plain(sentence), 80 - len(lead)):
            click.echo(lead + line)


def _short(time: str | None) -> str:
    return (time or "?")[:19].replace("T", " ")
