"""`hikeshi contain`: cut the attacker off, know the price before, prove it after."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from hikeshi.cli.output import count, defang, fitted, plain, say, short_name, write_json_lines
from hikeshi.errors import InputError, Location, UsageError
from hikeshi.respond.devices import DEVICES
from hikeshi.respond.state import ALL_CONTROLS, STATES

if TYPE_CHECKING:
    from hikeshi.respond.plan import Plan
    from hikeshi.respond.simulate import Simulation
    from hikeshi.respond.targets import Target
    from hikeshi.respond.verify import Verification

_SHOWN = 30
_PATH = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, dir_okay=False)
_results = click.argument("results", nargs=-1, required=True, type=_PATH)
_lists = click.option(
    "--indicators",
    "lists",
    multiple=True,
    type=_FILE,
    help="Text, CSV, STIX 2.1 or MISP JSON. 指標リスト",
)
_plan = click.option("--plan", "plan_path", type=_FILE, help="Your own facts as TOML: what stays open, when, who. 計画")
_zone = click.option("--zone", help="Zone of times shown and typed. [default: the plan's, else Asia/Tokyo] 時刻帯")
_json = click.option("--json", "as_json", is_flag=True, help="JSON Lines to standard output.")
_state = click.option(
    "--state",
    "state_path",
    type=_FILE,
    default=Path("contain-state.jsonl"),
    show_default=True,
    help="File of marks. 状態の記録",
)


@click.group("contain")
def command() -> None:
    """Cut the attacker off: block lists, their price, proof that they hold. 封じ込め

    RESULT is the folder that `hikeshi triage --out` wrote. Nothing here touches a device: people load the lists.
    """


@command.command("blocklist")
@click.argument("results", nargs=-1, type=_PATH)
@_lists
@_plan
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("hikeshi-contain"),
    show_default=True,
    help="Folder for the lists. 出力先",
)
@click.option(
    "--for",
    "devices",
    multiple=True,
    type=click.Choice(sorted(DEVICES)),
    metavar="DEVICE",
    help=f"機器 Only these: {', '.join(DEVICES)}.",
)
@click.option("--block", "force", multiple=True, metavar="VALUE", help="Block it though it is held back. 保留を止める")
@click.option("--low", is_flag=True, help="Also what is of low confidence. 確度の低いものも")
@click.option("--no-simulation", is_flag=True, help="Don't look at past traffic. 過去のログを見ない")
@_zone
@_json
@click.pass_context
def blocklist(
    ctx: click.Context,
    results: tuple[Path, ...],
    lists: tuple[Path, ...],
    plan_path: Path | None,
    out: Path,
    devices: tuple[str, ...],
    force: tuple[str, ...],
    low: bool,
    no_simulation: bool,
    zone: str | None,
    as_json: bool,
) -> None:
    """Lists ready to load for each device, undo, order, price. 遮断リスト

    What is private, shared, popular or your own is held back and named. OUT/contain.html says what to do.
    """
    from hikeshi.evidence.atomic import write_atomic
    from hikeshi.indicators import normalise
    from hikeshi.respond.blocklist import rows, write
    from hikeshi.triage.contain import contain
    from hikeshi.triage.contain_page import pages

    if not results and not lists:
        raise click.UsageError("give a RESULT, or a list with --indicators", ctx)
    forced = set()
    for value in force:
        found = normalise(value)
        if found is None:
            raise UsageError(
                f"'{plain(value)}' is nothing that can be blocked",
                hint="an address, a network, a name, a URL, a mail address or a SHA-256",
            )
        forced.add(found.value)
    told = contain(
        results,
        lists,
        plan_path=plan_path,
        zone=zone,
        force=forced,
        include_low=low,
        devices=devices,
        simulated=not no_simulation,
    )
    made = rows(told.blocks)
    write(told.blocks, out)
    for name, text in pages(told).items():
        write_atomic(out / name, text)
    if told.simulation is not None:
        write_atomic(out / "simulation.json", orjson.dumps(told.simulation.to_dict(), option=orjson.OPT_INDENT_2))
    for name, entries in (("isolate.jsonl", told.isolation), ("accounts.jsonl", told.accounts)):
        write_atomic(out / name, b"".join(orjson.dumps(e.to_dict(), option=orjson.OPT_APPEND_NEWLINE) for e in entries))
    if as_json:
        write_json_lines(made)
    else:
        _print_list(made, told.blocks.devices)
    sys.stdout.flush()
    held = sum(r["state"] == "held" for r in made)
    say(
        f"{count(len(made) - held, 'destination')} to block, {held:,} held back, "
        f"{count(len(told.isolation), 'machine')} to isolate, {count(len(told.accounts), 'account')} to change"
    )
    say(f"次 Next: open {plain(out / 'contain.html')}")
    ctx.exit(1 if made else 0)


def _print_list(made: Sequence[dict[str, Any]], devices: Sequence[Any]) -> None:
    if not made:
        click.echo("遮断するものはありません。 Nothing to block.")
        return
    for state, title in (
        ("block", "遮断 To block"),
        ("forced", "確認の上で遮断 Blocked on request"),
        ("held", "保留 Held back"),
    ):
        rows = [r for r in made if r["state"] == state]
        if rows:
            click.echo(f"{title} ({len(rows):,})")
            for row in rows[:_SHOWN]:
                why = row["cautions"] if state != "block" else row["reasons"]
                click.echo(
                    fitted(f"  {plain(defang(row['value'])):40} {row['type']:7} {plain(why[0]['en']) if why else ''}")
                )
            if len(rows) > _SHOWN:
                click.echo(f"  … 他 {len(rows) - _SHOWN:,} 件 more in blocklist.json")
    click.echo(f"機器 Devices: {', '.join(d.id for d in devices) or '–'}")


@command.command("simulate")
@_results
@_lists
@_plan
@click.option("--from", "since", metavar="TIME", help="Only from this time on. この時刻から")
@click.option("--to", "until", metavar="TIME", help="Only before this time. この時刻まで")
@click.option("--out", type=_FILE, help="Write the whole result as JSON, for a drill later. 書き出すファイル")
@_zone
@_json
@click.pass_context
def simulate_(
    ctx: click.Context,
    results: tuple[Path, ...],
    lists: tuple[Path, ...],
    plan_path: Path | None,
    since: str | None,
    until: str | None,
    out: Path | None,
    zone: str | None,
    as_json: bool,
) -> None:
    """What blocking would have cost in the past weeks. 遮断の事前見積

    Counts what passes today: the block list, and a full cut-off with the plan's allow-list and time windows.
    """
    from hikeshi.evidence.atomic import write_atomic
    from hikeshi.respond.simulate import simulate
    from hikeshi.triage.contain import opened

    with opened(results, lists, plan_path=plan_path, zone=zone) as (logs, machines, _):
        from hikeshi.respond.isolation import infected_hosts

        told = simulate(
            logs, infected=infected_hosts(machines), since=_time(since, logs.plan), until=_time(until, logs.plan)
        )
    tree = told.to_dict()
    if out is not None:
        write_atomic(out, orjson.dumps(tree, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    if as_json:
        write_json_lines(_simulation_rows(tree))
    else:
        _print_simulation(told)
    sys.stdout.flush()
    say(f"{told.days} days of logs ({told.first or '–'} to {told.last or '–'})")
    ctx.exit(1 if told.block.use.total else 0)


def _simulation_rows(tree: dict[str, Any]) -> list[dict[str, Any]]:
    out = [
        {
            "kind": "span",
            "first": tree["first"],
            "last": tree["last"],
            "days": tree["days"],
            "zone": tree["zone"],
            **tree["everything"],
        }
    ]
    scenarios = [("block", tree["block"])] + ([("cut_off", tree["cut_off"])] if tree["cut_off"] else [])
    for name, one in [*scenarios, *(("window", w) for w in tree["windows"])]:
        out.append(
            {
                "kind": name,
                "name": one["name"],
                **one["use"],
                "hourly": one["hourly"],
                "destinations": one["destinations"],
                "top_users": one["top_users"],
            }
        )
        out += [
            {"kind": "system", "scenario": one["name"], **{k: v for k, v in s.items() if k != "use"}, **s["use"]}
            for s in one["systems"]
        ]
    # `hosts` and `users` are numbers in every row; a target's names stand beside them.
    out += [
        {
            "kind": "target",
            "value": t["value"],
            "type": t["type"],
            **t["use"],
            "host_names": t["hosts"],
            "user_names": t["users"],
            "bystanders": t["bystanders"],
            "behind": t["behind"],
            "systems": t["systems"],
        }
        for t in tree["targets"]
    ]
    return [*out, {"kind": "allowed", **tree["allowed"]}]


def _print_simulation(told: Simulation) -> None:
    def line(label: str, use: Any) -> None:
        kinds = ", ".join(f"{k} {n:,}" for k, n in use.requests.items()) or "0"
        click.echo(
            fitted(
                f"  {label}: {kinds}; 端末 hosts {use.hosts:,}, 利用者 users {use.users:,}, "
                f"送信 sent {use.bytes_out:,} B"
            )
        )

    click.echo("遮断リスト Block list")
    line("計 total", told.block.use)
    for one in told.targets[:_SHOWN]:
        if one.use.total:
            line(plain(defang(one.value)), one.use)
            if one.bystanders:
                click.echo(f"      感染が知られていない端末 not known as infected: {one.bystanders:,}")
            if one.behind:
                click.echo(
                    fitted(f"      同じアドレス also behind it: {', '.join(plain(defang(b)) for b in one.behind)}")
                )
    if told.cut_off:
        click.echo("全面遮断 Full cut-off")
        line("常に always", told.cut_off.use)
        for window in told.windows:
            line(plain(window.name), window.use)
        for system in told.cut_off.systems:
            click.echo(
                fitted(
                    f"  業務 system {plain(system.name)}: {system.use.total:,}, {system.per_hour:,}/h, "
                    f"{plain(system.impact_per_hour)}"
                )
            )
        click.echo("  宛先 destinations by rank")
        for number, place in enumerate(told.cut_off.destinations[:10], 1):
            click.echo(
                fitted(
                    f"  {number:4}. {plain(place['destination']):44} {place['requests']:>9,}  {place['hosts']:,} hosts"
                )
            )


@command.command("verify")
@_results
@_lists
@_plan
@click.option("--state", "state_path", type=_FILE, help="Marks that say what was applied, and when. 状態の記録")
@click.option("--list", "made", type=_PATH, help="Folder that `contain blocklist` wrote. 遮断リスト")
@click.option("--at", metavar="TIME", help="Everything was blocked at this time (without --state). 遮断の時刻")
@click.option("--until", metavar="TIME", help="Look no further than this time. この時刻まで")
@click.option("--estimate", type=_FILE, help="simulation.json: compare a drill with it. 訓練の見積")
@click.option("--update", metavar="NAME", help="Mark what was found in --state, as NAME. 状態に記録する人")
@_zone
@_json
@click.pass_context
def verify_(
    ctx: click.Context,
    results: tuple[Path, ...],
    lists: tuple[Path, ...],
    plan_path: Path | None,
    state_path: Path | None,
    made: Path | None,
    at: str | None,
    until: str | None,
    estimate: Path | None,
    update: str | None,
    zone: str | None,
    as_json: bool,
) -> None:
    """Does the block hold? What passes, what goes around, who tries. 遮断の確認

    RESULT is a triage of logs from after the block. Exit code 0: it holds; 1: it doesn't, or more hosts show.
    """
    from dataclasses import replace

    from hikeshi.respond.state import add_marks, load_state
    from hikeshi.respond.verify import compare, verify
    from hikeshi.triage.contain import known_infected, opened

    if (at is None) == (state_path is None):
        raise click.UsageError("say when: --at TIME, or --state FILE", ctx)
    state = load_state(state_path) if state_path else None
    wanted = [m.subject for m in state.marks if m.state == "applied"] if state else []
    with opened(results, lists, plan_path=plan_path, zone=zone, made=made, values=wanted) as (logs, _, result):
        blocked = _blocked(logs.targets, state, _time(at, logs.plan))
        if not blocked:
            raise UsageError("nothing is marked as applied", hint="hikeshi contain mark VALUE --on proxy --as applied")
        end = _time(until, logs.plan)
        known = known_infected(result, logs, min(blocked.values()), made)
        told = verify(logs, blocked, result, infected=known, until=end)
        if estimate is not None:
            last = end or (logs.span() or (0, 0))[1] + 1
            told = replace(told, drill=compare(logs, _simulation(estimate), logs.plan, min(blocked.values()), last))
    if as_json:
        write_json_lines(_verification_rows(told))
    else:
        _print_verification(told)
    sys.stdout.flush()
    if update is not None and state is not None:
        now = datetime.now(UTC)
        for verdict in ("verified", "failed"):
            rows = [(a.target, a.control, verdict) for a in told.answers if a.verdict == verdict]
            if rows:
                add_marks(state, rows, by=update, at=now, note=f"logs until {told.until}")
    ctx.exit(0 if told.holds else 1)


def _blocked(targets: Sequence[Target], state: Any, at: int | None) -> dict[tuple[str, str], int]:
    from hikeshi.events.time import from_datetime
    from hikeshi.respond.verify import LOGGED

    out: dict[tuple[str, str], int] = {}
    for one in targets:
        for control in one.where:
            when = state.applied_at(one.value, control) if state else None
            if control in LOGGED and (when or at is not None):
                out[one.value, control] = from_datetime(datetime.fromisoformat(when)) if when else at or 0
    return out


def _simulation(path: Path) -> Simulation:
    from hikeshi.respond.simulate import from_dict

    try:
        return from_dict(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(
            "no simulation of Hikeshi",
            source=Location(str(path)),
            hint="hikeshi contain simulate RESULT --out simulation.json",
        ) from error


def _verification_rows(told: Verification) -> list[dict[str, Any]]:
    tree = told.to_dict()
    out: list[dict[str, Any]] = []
    for kind, key in (
        ("bypass", "bypass"),
        ("passing", "passing"),
        ("attempt", "attempts"),
        ("answer", "answers"),
        ("other_port", "other_ports"),
        ("drill", "drill"),
    ):
        out += [{"kind": kind, **row} for row in tree[key]]
    return [
        *out,
        {
            "kind": "summary",
            "holds": told.holds,
            "since": told.since,
            "until": told.until,
            "revealed": [a.host for a in told.revealed],
        },
    ]


def _print_verification(told: Verification) -> None:
    from hikeshi.triage.contain_page import VERDICT, verification_lines

    click.echo(
        "遮断は効いています。 The block holds." if told.holds else "遮断は効いていません。 The block does not hold."
    )
    for text in verification_lines(told)[:_SHOWN]:
        click.echo(plain(f"  {text.ja}"))
        click.echo(plain(f"    {text.en}"))
    click.echo("宛先 × 場所 Destination × control")
    for one in told.answers:
        word = VERDICT[one.verdict]
        click.echo(
            fitted(
                f"  {plain(defang(one.target)):36} {one.control:9} {word.ja} {word.en}"
                f"{f' ({one.passed:,})' if one.passed else ''}"
            )
        )
    for drill in told.drill:
        click.echo(
            fitted(
                f"  訓練 drill {plain(drill.name)}: 見積 expected {drill.expected:,} "
                f"({drill.least:,}–{drill.most:,}), 実際 actual {drill.actual:,} "
                f"{'範囲内 inside' if drill.inside else '範囲外 outside'}"
            )
        )
    if told.other_ports:
        ports = ", ".join(f"{p['port']} ({p['count']:,})" for p in told.other_ports[:8])
        click.echo(fitted(f"  Web以外で出ている通信 not the Web, still leaving: {ports}"))
    click.echo("次 Next: hikeshi contain mark VALUE --on CONTROL --as verified --by NAME")


@command.command("hosts")
@_results
@_plan
@_json
@click.pass_context
def hosts(ctx: click.Context, results: tuple[Path, ...], plan_path: Path | None, as_json: bool) -> None:
    """Machines to take off the network, most urgent first. 切り離す機器"""
    from hikeshi.triage.contain import contain

    told = contain(results, plan_path=plan_path)
    if as_json:
        write_json_lines(h.to_dict() for h in told.isolation)
    else:
        for number, one in enumerate(told.isolation, 1):
            click.echo(fitted(f"{number:3}. {plain(one.host):20} {one.cause:18} {', '.join(one.addresses)}"))
            for reason in one.reasons:
                click.echo(fitted(f"       {reason.ja} {reason.en}"))
        if not told.isolation:
            click.echo("切り離す機器はありません。 No machine to isolate.")
    ctx.exit(1 if told.isolation else 0)


@command.command("accounts")
@_results
@_plan
@_json
@click.pass_context
def accounts(ctx: click.Context, results: tuple[Path, ...], plan_path: Path | None, as_json: bool) -> None:
    """Passwords to change because of each machine, with records. 変えるパスワード"""
    from hikeshi.triage.contain import contain

    told = contain(results, plan_path=plan_path, simulated=False)
    if as_json:
        write_json_lines(a.to_dict() for a in told.accounts)
    else:
        before = None
        for one in told.accounts:
            if one.host != before:
                click.echo(plain(one.host) or "(ドメイン・全体 domain)")
                before = one.host
            click.echo(fitted(f"  {plain(one.account):24} {one.kind:8} {one.reasons[0].ja if one.reasons else ''}"))
        if not told.accounts:
            click.echo("変えるアカウントはありません。 No account to change.")
    ctx.exit(1 if told.accounts else 0)


@command.command("status")
@click.argument("results", nargs=-1, type=_PATH)
@_state
@click.option("--list", "made", type=_PATH, help="Folder that `contain blocklist` wrote. 遮断リスト")
@click.option("--history", is_flag=True, help="Every mark, oldest first. 履歴")
@_json
@click.pass_context
def status(
    ctx: click.Context, results: tuple[Path, ...], state_path: Path, made: Path | None, history: bool, as_json: bool
) -> None:
    """Requested, applied, verified: each destination and control. 封じ込めの状態

    Exit code 0: nothing is open any more, the case may be called contained; 1: something is.
    """
    from hikeshi.respond.state import load_state
    from hikeshi.triage.contain import table_of

    state = load_state(state_path)
    for line in state.broken_lines:
        say(f"{plain(state_path)}:{line}: 読めない行を飛ばしました a broken line was skipped")
    if history:
        marks = [m.to_dict() for m in state.marks]
        if as_json:
            write_json_lines(marks)
        else:
            for m in state.marks:
                verb = f"undoes {m.undoes}" if m.undoes is not None else m.state
                click.echo(
                    fitted(
                        f"{m.id:4} {m.at[:16]}Z {plain(m.by):10} {m.control:9} {verb:10} "
                        f"{plain(defang(m.subject))} {plain(m.note)}"
                    )
                )
        ctx.exit(0)
    rows = table_of(state, results, made)
    if as_json:
        write_json_lines(rows)
    else:
        for row in rows:
            who = f"{row['at'][:16]}Z {plain(row['by'])}" if row["at"] else ""
            click.echo(fitted(f"{plain(defang(row['subject'])):36} {row['control']:9} {row['state']:10} {who}"))
    left = [r for r in rows if not r["done"]]
    say(
        f"{count(len(rows), 'item')}, {len(left):,} open. "
        + ("封じ込め済みとはまだ言えません Not contained yet." if left or not rows else "すべて済みました All done.")
    )
    ctx.exit(1 if left or not rows else 0)


@command.command("mark")
@click.argument("subjects", nargs=-1, required=True)
@click.option("--on", "control", required=True, type=click.Choice(ALL_CONTROLS), help="Where. 場所")
@click.option("--as", "new", required=True, type=click.Choice(STATES), help="How far it is. 状態")
@click.option("--by", default=getpass.getuser, show_default="your login", help="Who did it. 実施者")
@click.option("--at", metavar="TIME", help="When. [default: now] 時刻")
@click.option("--device", default="", help="Which device, e.g. FW-01. 機器")
@click.option("--note", default="", help="Reason or remark; needed for not_needed. 理由")
@_state
@_zone
def mark(
    subjects: tuple[str, ...],
    control: str,
    new: str,
    by: str,
    at: str | None,
    device: str,
    note: str,
    state_path: Path,
    zone: str | None,
) -> None:
    """Write down what was done: destinations, hosts, accounts, decisions. 記録する

    For a host use --on isolation, for an account --on reset, for a decision --on decision.
    """
    from hikeshi.events.time import to_datetime
    from hikeshi.indicators import normalise
    from hikeshi.respond.plan import load_plan
    from hikeshi.respond.state import add_marks, load_state

    names = []
    for subject in subjects:
        found = normalise(subject) if control not in ("isolation", "reset", "decision") else None
        names.append(found.value if found else subject.strip())
    moment = _time(at, load_plan(None, zone))
    state = load_state(state_path)
    for made in add_marks(
        state,
        [(n, control, new) for n in names],
        by=by,
        device=device,
        note=note,
        at=datetime.now(UTC) if moment is None else to_datetime(moment),
    ):
        click.echo(
            f"{made.id}: {plain(defang(made.subject))} {made.control} {made.state} {made.at[:16]}Z {plain(made.by)}"
        )
    say(f"次 Next: hikeshi contain status --state {short_name(state_path)}")


@command.command("undo")
@click.argument("number", type=int)
@click.option("--by", default=getpass.getuser, show_default="your login", help="Who takes it back. 実施者")
@click.option("--note", default="", help="Why. 理由")
@_state
def undo_(number: int, by: str, note: str, state_path: Path) -> None:
    """Take one mark back by its number; the history keeps both. 取り消す"""
    from hikeshi.respond.state import load_state, undo

    made = undo(load_state(state_path), number, by=by, at=datetime.now(UTC), note=note)
    click.echo(f"{made.id}: undoes {number}: {plain(defang(made.subject))} {made.control} {made.state}")


def _time(text: str | None, plan: Plan) -> int | None:
    """UTC microseconds of what was typed, in the plan's zone where it names none."""
    from hikeshi.events.time import NO_TIME, parse_iso

    if text is None:
        return None
    value = text.strip()
    if len(value) == 10:
        value += "T00:00:00"
    elif len(value) == 16:
        value += ":00"
    found = parse_iso(value, plan.zone)
    if found == NO_TIME:
        raise UsageError(f"'{plain(text)}' is no time", hint="write 2026-11-22T21:30:00+09:00 or 2026-11-22 21:30")
    return found
