"""Does the block hold? Read from the logs after it: what still passes, what goes around, who else tries.

Per target and control one answer:
  failed    traffic passed after the block
  verified  there were attempts, and none passed
  quiet     nobody tried since; nothing is proven
  asked     names were asked for, and this log doesn't say with which answer
  no_log    no log of this control reaches past the block
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hikeshi.events.time import format_utc
from hikeshi.model.evidence import RecordRef
from hikeshi.respond.plan import Plan
from hikeshi.respond.result import Result
from hikeshi.respond.simulate import Estimate, Simulation, estimate, open_condition
from hikeshi.respond.targets import Control
from hikeshi.respond.traffic import Traffic, insert, quoted

LOGGED: tuple[Control, ...] = ("firewall", "proxy", "dns")  # controls whose work a log shows
_CITED = 5


@dataclass(frozen=True, slots=True)
class Passing:
    """Traffic of one machine that got through `device` to a blocked target; `clients` are its addresses."""

    target: str
    control: str
    device: str
    host: str
    clients: tuple[str, ...]
    users: tuple[str, ...]
    count: int
    bytes_out: int
    first: str
    last: str
    records: tuple[RecordRef, ...]


@dataclass(frozen=True, slots=True)
class Bypass:
    """A machine that uses the proxy and went out beside it. `blocked` names the target it reached, if any."""

    host: str
    clients: tuple[str, ...]
    destination: str
    port: int | None
    device: str
    count: int
    bytes_out: int
    first: str
    last: str
    blocked: str | None
    records: tuple[RecordRef, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A machine that tried to reach blocked targets after the block. `known`: it was among the infected."""

    host: str
    clients: tuple[str, ...]
    users: tuple[str, ...]
    targets: tuple[str, ...]
    count: int
    first: str
    last: str
    known: bool
    records: tuple[RecordRef, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    target: str
    type: str
    control: str
    since: str
    verdict: str
    passed: int
    stopped: int
    log_until: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A drill: what the simulation expected of a span and what the logs show. `inside`: within the range."""

    name: str
    expected: float
    least: int
    most: int
    actual: int
    inside: bool


@dataclass(frozen=True, slots=True)
class Verification:
    since: str
    until: str | None
    answers: tuple[Answer, ...]
    passing: tuple[Passing, ...]
    bypass: tuple[Bypass, ...]
    attempts: tuple[Attempt, ...]
    other_ports: tuple[dict[str, Any], ...]
    drill: tuple[Comparison, ...] = ()

    @property
    def revealed(self) -> tuple[Attempt, ...]:
        return tuple(a for a in self.attempts if not a.known)

    @property
    def holds(self) -> bool:
        return not self.passing and not self.bypass and not self.revealed

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "holds": self.holds,
            **{
                k: [{**asdict(e), "records": [r.to_dict() for r in e.records]} for e in getattr(self, k)]
                for k in ("passing", "bypass", "attempts")
            },
        }


def verify(
    logs: Traffic,
    since: Mapping[tuple[str, str], int],
    result: Result,
    *,
    infected: Collection[str] = (),
    until: int | None = None,
) -> Verification:
    """`since`: for each (target value, control) the time of the block, UTC microseconds. `infected`: host names,
    lower case. Raises ValueError where nothing was blocked."""
    if not since:
        raise ValueError("nothing was blocked")
    link = logs.link
    number = {t.value: n for n, t in enumerate(logs.targets)}
    link.execute("CREATE OR REPLACE TEMP TABLE blocked (target INTEGER, kind VARCHAR, since BIGINT)")
    insert(
        link,
        "blocked",
        [
            (number[value], control, at)
            for (value, control), at in sorted(since.items())
            if control in LOGGED and value in number
        ],
    )
    link.execute("CREATE OR REPLACE TEMP TABLE infected (host VARCHAR)")
    insert(link, "infected", [(h,) for h in sorted({h.lower() for h in infected})])
    _reached(logs)
    end = f"AND t < {int(until)}" if until is not None else ""
    first = min(since.values())
    link.execute(f"""CREATE OR REPLACE TEMP TABLE after AS SELECT r.*, b.since FROM reached r JOIN blocked b
        ON b.target = r.target AND b.kind = r.kind WHERE r.t >= b.since {end}""")
    # Attempts count from the first block of a target on, in whichever log they show.
    link.execute(f"""CREATE OR REPLACE TEMP TABLE tried AS SELECT r.* FROM reached r JOIN
        (SELECT target, min(since) AS since FROM blocked GROUP BY 1) b USING (target)
        WHERE r.t >= b.since AND r.verdict <> 'challenge' {end}""")
    last = logs.one(f"SELECT max(t) FROM contact WHERE true {end}")[0]
    return Verification(
        format_utc(first),
        None if last is None else format_utc(last),
        _answers(logs, since, end),
        _passing(logs, result),
        _bypass(logs, result, first, end),
        _attempts(logs, result),
        _other_ports(logs, first, end),
    )


def _reached(logs: Traffic) -> None:
    """Contacts with targets, also by the bare address of a blocked name that no other name shares."""
    logs.link.execute("""CREATE OR REPLACE TEMP VIEW reached AS SELECT * FROM hit UNION ALL
        SELECT c.*, a.target FROM contact c JOIN (
          SELECT DISTINCT bare.id AS place, x.target FROM place named JOIN place_target x ON x.place = named.id
            JOIN place bare ON bare.ip = named.ip AND bare.name IN ('', bare.ip)
          WHERE named.name <> '' AND named.ip <> '' AND named.name <> named.ip
            AND NOT EXISTS (SELECT 1 FROM place_target y WHERE y.place = bare.id AND y.target = x.target)
            AND NOT EXISTS (SELECT 1 FROM place other WHERE other.ip = named.ip AND other.name NOT IN ('', other.ip)
              AND NOT EXISTS (SELECT 1 FROM place_target z WHERE z.place = other.id))) a ON a.place = c.place""")


def _answers(logs: Traffic, since: Mapping[tuple[str, str], int], end: str) -> tuple[Answer, ...]:
    numbers = {t.value: n for n, t in enumerate(logs.targets)}
    reach = dict(logs.sql(f"SELECT kind, max(t) FROM contact WHERE true {end} GROUP BY 1"))
    counts = {
        (target, kind): row
        for target, kind, *row in logs.sql(
            "SELECT target, kind, count(*) FILTER (verdict = 'allowed'), "
            "count(*) FILTER (verdict IN ('denied', 'failed')), "
            "count(*) FILTER (verdict = 'unknown') FROM after GROUP BY 1, 2"
        )
    }
    out = []
    for (value, control), at in sorted(since.items()):
        if control not in LOGGED or value not in numbers:
            continue
        passed, stopped, asked = counts.get((numbers[value], control), (0, 0, 0))
        last = reach.get(control)
        verdict = (
            "no_log"
            if last is None or last < at
            else "failed"
            if passed
            else "verified"
            if stopped
            else "asked"
            if asked
            else "quiet"
        )
        out.append(
            Answer(
                value,
                logs.targets[numbers[value]].type,
                control,
                format_utc(at),
                verdict,
                passed,
                stopped,
                None if last is None else format_utc(last),
            )
        )
    return tuple(out)


_GROUP = (
    "list(DISTINCT usr ORDER BY usr) FILTER (usr IS NOT NULL), count(*), coalesce(sum(sent), 0), min(t), max(t), "
    "min_by({'path': path, 'line': line, 't': t}, t, 5)"
)


def _passing(logs: Traffic, result: Result) -> tuple[Passing, ...]:
    return tuple(
        Passing(
            logs.targets[target].value,
            kind,
            device,
            host,
            tuple(clients),
            tuple(users or ()),
            count,
            int(sent),
            format_utc(first),
            format_utc(last),
            _refs(result, cited),
        )
        for target, kind, device, host, clients, users, count, sent, first, last, cited in logs.sql(
            f"SELECT target, kind, device, host, list(DISTINCT client ORDER BY client), {_GROUP} "
            f"FROM after WHERE verdict = 'allowed' GROUP BY 1, 2, 3, 4 ORDER BY 7 DESC, 4, 1, 2, 3"
        )
    )


def _bypass(logs: Traffic, result: Result, first: int, end: str) -> tuple[Bypass, ...]:
    plan = logs.plan
    proxies = quoted(logs.proxies)
    open_ = open_condition(plan)
    rows = logs.sql(f"""SELECT p.host, list(DISTINCT p.client ORDER BY p.client), q.shown, p.port, p.device, r.target,
          count(*), coalesce(sum(p.sent), 0), min(p.t), max(p.t),
          min_by({{'path': p.path, 'line': p.line, 't': p.t}}, p.t, 5)
        FROM contact p JOIN place q ON q.id = p.place
          LEFT JOIN (SELECT place, min(target) AS target FROM reached GROUP BY 1) r ON r.place = p.place
        WHERE p.kind = 'firewall' AND p.verdict = 'allowed' AND p.t >= {int(first)} {end.replace(" t ", " p.t ")}
          AND p.client NOT IN ({proxies}) AND NOT ({open_})
          AND p.host IN (SELECT DISTINCT host FROM contact WHERE kind = 'proxy' AND client NOT IN ({proxies}))
        GROUP BY 1, 3, 4, 5, 6 ORDER BY 6 IS NULL, 7 DESC, 1, 3, 4""")
    return tuple(
        Bypass(
            host,
            tuple(clients),
            shown,
            port,
            device,
            count,
            int(sent),
            format_utc(begin),
            format_utc(stop),
            None if target is None else logs.targets[target].value,
            _refs(result, cited),
        )
        for host, clients, shown, port, device, target, count, sent, begin, stop, cited in rows
    )


def _attempts(logs: Traffic, result: Result) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(
            host,
            tuple(clients),
            tuple(users or ()),
            tuple(logs.targets[t].value for t in targets),
            count,
            format_utc(first),
            format_utc(last),
            known,
            _refs(result, cited),
        )
        for host, clients, targets, known, users, count, _, first, last, cited in logs.sql(
            f"SELECT host, list(DISTINCT client ORDER BY client), list(DISTINCT target ORDER BY target), "
            f"host IN (SELECT host FROM infected), {_GROUP} FROM tried GROUP BY 1 "
            f"ORDER BY 4, 6 DESC, 1"
        )
    )


def _other_ports(logs: Traffic, first: int, end: str) -> tuple[dict[str, Any], ...]:
    """What leaves by other protocols than the Web's: a cut-off at the proxy does not stop it."""
    return tuple(
        {"port": port, "hosts": hosts, "count": count, "bytes_out": int(sent)}
        for port, hosts, count, sent in logs.sql(
            "SELECT port, count(DISTINCT host), count(*), coalesce(sum(sent), 0) FROM contact p "
            "WHERE kind = 'firewall' "
            f"AND verdict = 'allowed' AND port NOT IN (80, 443) AND t >= {int(first)} {end} "
            f"AND client NOT IN ({quoted(logs.proxies)}) AND NOT ({open_condition(logs.plan)}) "
            f"GROUP BY 1 ORDER BY 3 DESC LIMIT 30"
        )
    )


def _refs(result: Result, cited: Sequence[Mapping[str, Any]] | None) -> tuple[RecordRef, ...]:
    return tuple(dict.fromkeys(result.ref(c["path"], line=c["line"]) for c in (cited or ())[:_CITED]))


def compare(logs: Traffic, before: Simulation, plan: Plan, since: int, until: int) -> tuple[Comparison, ...]:
    """A drill between two times: refused requests in the logs against the simulation's estimate for that span,
    for the cut-off (or the block list, where none was simulated) as a whole and for each business system."""
    scenario = before.cut_off or before.block
    stopped = f"verdict IN ('denied', 'failed') AND kind <> 'dns' AND t >= {int(since)} AND t < {int(until)}"
    out = [
        _compared(
            scenario.name,
            estimate(scenario.hourly, plan, before.first, before.last, since, until, (0, 1)),
            logs.one(f"SELECT count(*) FROM contact WHERE {stopped}")[0],
        )
    ]
    known = {s.name: n for n, s in enumerate(plan.systems)}
    for system in scenario.systems:
        if system.name in known:
            actual = logs.one(
                f"SELECT count(*) FROM contact JOIN place_system s USING (place) "
                f"WHERE s.system = {known[system.name]} AND {stopped}"
            )[0]
            out.append(
                _compared(
                    system.name, estimate(system.hourly, plan, before.first, before.last, since, until, (0, 1)), actual
                )
            )
    return tuple(out)


def _compared(name: str, guess: Estimate, actual: int) -> Comparison:
    return Comparison(name, guess.expected, guess.least, guess.most, actual, guess.least <= actual <= guess.most)
