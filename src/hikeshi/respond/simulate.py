"""What a block would have cost in the past weeks, before anybody presses the button.

Only what passes today is counted: requests that are refused or unanswered already are not lost by blocking.
Proxy requests, firewall flows and DNS queries are counted apart, since one click shows in all three.

Block list: for each target who uses it, when, and which other names lie behind the same address.
Cut-off: everything outside the allow-list, in one piece and inside each time window of the plan.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hikeshi.events.time import format_utc, to_datetime
from hikeshi.respond.plan import Plan
from hikeshi.respond.traffic import Traffic, insert, quoted

HOUR = 3_600_000_000
_MINUTE = 60_000_000
_SHOWN = 50
_PASSES = "verdict IN ('allowed', 'unknown')"


@dataclass(frozen=True, slots=True)
class Use:
    """A sum of contacts. `requests` by kind of log; `hosts` and `users` are numbers of distinct ones."""

    requests: dict[str, int] = field(default_factory=dict)
    hosts: int = 0
    users: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    first: str | None = None
    last: str | None = None

    @property
    def total(self) -> int:
        return sum(self.requests.values())


@dataclass(frozen=True, slots=True)
class TargetUse:
    """`harmless_hosts` and `bystanders` are hosts that are not among the known infected; `behind` other names seen
    at the same address, which an address block stops too."""

    value: str
    type: str
    use: Use
    hosts: tuple[str, ...]
    users: tuple[str, ...]
    bystanders: int
    behind: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemUse:
    """A business system: what it would lose; `per_hour` is the mean of hours in which it is used."""

    name: str
    use: Use
    per_hour: float
    busiest_hour: str | None
    impact_per_hour: str
    hours_used: int
    hourly: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that could be done. `hourly`: UTC hour → [proxy, firewall, dns]; `destinations` by requests."""

    name: str
    use: Use
    destinations: tuple[dict[str, Any], ...]
    systems: tuple[SystemUse, ...]
    hourly: dict[str, list[int]]
    top_users: tuple[dict[str, Any], ...] = ()
    minutes_per_week: int = 10_080


@dataclass(frozen=True, slots=True)
class Simulation:
    """`days` of logs between `first` and `last`; `outside_days` means a week's mean is less sure."""

    first: str | None
    last: str | None
    days: float
    zone: str
    everything: Use
    block: Scenario
    targets: tuple[TargetUse, ...]
    cut_off: Scenario | None
    windows: tuple[Scenario, ...]
    allowed: Use
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def from_dict(tree: dict[str, Any]) -> Simulation:
    """What `to_dict` wrote, read back from JSON. Raises KeyError, TypeError for anything else."""

    def scenario(t: dict[str, Any]) -> Scenario:
        systems = tuple(SystemUse(**{**s, "use": Use(**s["use"])}) for s in t["systems"])
        return Scenario(
            **{
                **t,
                "use": Use(**t["use"]),
                "systems": systems,
                "destinations": tuple(t["destinations"]),
                "top_users": tuple(t["top_users"]),
            }
        )

    targets = tuple(TargetUse(**{**t, "use": Use(**t["use"])}) for t in tree["targets"])
    return Simulation(
        **{
            **tree,
            "everything": Use(**tree["everything"]),
            "allowed": Use(**tree["allowed"]),
            "targets": targets,
            "block": scenario(tree["block"]),
            "cut_off": scenario(tree["cut_off"]) if tree["cut_off"] else None,
            "windows": tuple(scenario(w) for w in tree["windows"]),
        }
    )


def simulate(
    logs: Traffic,
    *,
    infected: Collection[str] = (),
    cut_off: bool = True,
    since: int | None = None,
    until: int | None = None,
) -> Simulation:
    """`infected` are host names (lower case) whose loss of contact is wanted. Times are UTC microseconds;
    `until` is excluded."""
    link, plan = logs.link, logs.plan
    link.execute("CREATE OR REPLACE TEMP TABLE infected (host VARCHAR)")
    insert(link, "infected", [(h,) for h in sorted(infected)])
    bounds = [_PASSES]
    bounds += [f"t >= {int(since)}"] if since is not None else []
    bounds += [f"t < {int(until)}"] if until is not None else []
    # Its proxies fetch for clients that are counted already.
    proxies = quoted(logs.proxies)
    link.execute(f"""CREATE OR REPLACE TEMP VIEW past AS SELECT * FROM contact
        WHERE {" AND ".join(bounds)} AND client NOT IN ({proxies})""")
    _minutes(logs)
    stopped = """(SELECT p.* FROM past p WHERE EXISTS (SELECT 1 FROM place_target x WHERE x.place = p.place)
        OR EXISTS (SELECT 1 FROM url_hit h WHERE h.url = p.url))"""
    open_ = open_condition(plan)
    lost = f"(SELECT p.* FROM past p WHERE NOT ({open_}))"
    span = logs.one("SELECT min(t), max(t) FROM past")
    everything = use_of(logs, "past")
    windows = (
        tuple(
            _scenario(
                logs,
                w.name,
                f"(SELECT c.* FROM {lost} c JOIN minute m ON m.m = c.t // {_MINUTE} "
                f"JOIN minute_window v ON v.m = m.m AND v.w = {n})",
                sum(w.minutes()),
            )
            for n, w in enumerate(plan.windows)
        )
        if cut_off
        else ()
    )
    return Simulation(
        first=None if span[0] is None else format_utc(span[0]),
        last=None if span[1] is None else format_utc(span[1]),
        days=0.0 if span[0] is None else round((span[1] - span[0]) / (24 * HOUR), 2),
        zone=plan.zone_name,
        everything=everything,
        block=_scenario(logs, "block", stopped),
        targets=_targets(logs),
        cut_off=_scenario(logs, "cut_off", lost) if cut_off else None,
        windows=windows,
        allowed=use_of(logs, f"(SELECT p.* FROM past p WHERE {open_})"),
    )


def open_condition(plan: Plan) -> str:
    """SQL: whether a contact `p` is on the allow-list, with its ports and its time span."""
    parts = []
    for number, one in enumerate(plan.allow):
        rules = [f"EXISTS (SELECT 1 FROM place_allow a WHERE a.place = p.place AND a.allow = {number})"]
        if one.ports:
            # A DNS question has no port: the name must resolve for the connection to be possible.
            rules.append(f"(p.kind = 'dns' OR p.port IN ({', '.join(map(str, sorted(one.ports)))}))")
        rules += [f"p.t >= {one.since}"] if one.since is not None else []
        rules += [f"p.t < {one.until}"] if one.until is not None else []
        parts.append(f"({' AND '.join(rules)})")
    return " OR ".join(parts) or "false"


def _minutes(logs: Traffic) -> None:
    """Which minutes of the logs lie in which window, by the plan's zone, summer time and all."""
    link, plan = logs.link, logs.plan
    link.execute("CREATE OR REPLACE TEMP TABLE minute (m BIGINT)")
    link.execute("CREATE OR REPLACE TEMP TABLE minute_window (m BIGINT, w INTEGER)")
    if not plan.windows:
        return
    link.execute(f"INSERT INTO minute SELECT DISTINCT t // {_MINUTE} FROM past")
    tables = [w.minutes() for w in plan.windows]
    rows = []
    for (minute,) in logs.sql("SELECT m FROM minute"):
        local = to_datetime(minute * _MINUTE).astimezone(plan.zone)
        at = (local.weekday() * 24 + local.hour) * 60 + local.minute
        rows += [(minute, n) for n, inside in enumerate(tables) if inside[at]]
    insert(link, "minute_window", rows)


def use_of(logs: Traffic, source: str) -> Use:
    """The sums over a table or a query in brackets."""
    hosts, users, out, got, first, last = logs.one(
        f"SELECT count(DISTINCT host), count(DISTINCT usr), coalesce(sum(sent), 0), coalesce(sum(got), 0), "
        f"min(t), max(t) FROM {source}"
    )
    kinds = {kind: int(n) for kind, n in logs.sql(f"SELECT kind, count(*) FROM {source} GROUP BY 1 ORDER BY 1")}
    return Use(
        kinds,
        hosts,
        users,
        int(out),
        int(got),
        None if first is None else format_utc(first),
        None if last is None else format_utc(last),
    )


def _scenario(logs: Traffic, name: str, source: str, minutes: int = 10_080) -> Scenario:
    destinations = tuple(
        {"destination": shown, "requests": int(n), "hosts": hosts, "users": users, "bytes_out": int(out)}
        for shown, n, hosts, users, out in logs.sql(
            f"SELECT q.shown, count(*), count(DISTINCT c.host), count(DISTINCT c.usr), sum(c.sent) FROM {source} c "
            f"JOIN place q ON q.id = c.place GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {_SHOWN}"
        )
    )
    users = tuple(
        {"user": user, "host": host, "requests": int(n)}
        for user, host, n in logs.sql(
            f"SELECT coalesce(usr, ''), host, count(*) FROM {source} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT {_SHOWN}"
        )
    )
    return Scenario(
        name, use_of(logs, source), destinations, _systems(logs, source), hourly(logs, source), users, minutes
    )


def hourly(logs: Traffic, source: str) -> dict[str, list[int]]:
    """UTC hour → requests of proxy, firewall, DNS; hours without any are absent."""
    rows = logs.sql(
        f"SELECT t // {HOUR}, count(*) FILTER (kind = 'proxy'), count(*) FILTER (kind = 'firewall'), "
        f"count(*) FILTER (kind = 'dns') FROM {source} GROUP BY 1 ORDER BY 1"
    )
    return {format_utc(hour * HOUR): [int(a), int(b), int(c)] for hour, a, b, c in rows}


def _systems(logs: Traffic, source: str) -> tuple[SystemUse, ...]:
    out = []
    for number, system in enumerate(logs.plan.systems):
        mine = f"(SELECT c.* FROM {source} c JOIN place_system s ON s.place = c.place AND s.system = {number})"
        use = use_of(logs, mine)
        hours = logs.sql(f"SELECT t // {HOUR} AS h, count(*) FROM {mine} GROUP BY 1 ORDER BY 2 DESC, 1")
        busiest = to_datetime(hours[0][0] * HOUR).astimezone(logs.plan.zone).strftime("%a %H:00") if hours else None
        out.append(
            SystemUse(
                system.name,
                use,
                round(use.total / len(hours), 1) if hours else 0.0,
                busiest,
                system.impact_per_hour,
                len(hours),
                hourly(logs, mine),
            )
        )
    return tuple(out)


def _targets(logs: Traffic) -> tuple[TargetUse, ...]:
    link = logs.link
    link.execute(
        "CREATE OR REPLACE TEMP VIEW past_hit AS SELECT p.*, x.target FROM past p JOIN place_target x "
        "USING (place) UNION ALL SELECT p.*, h.target FROM past p JOIN url_hit h USING (url)"
    )
    out = []
    seen = {n for (n,) in logs.sql("SELECT DISTINCT target FROM past_hit")}
    for number, one in enumerate(logs.targets):
        if number not in seen:
            out.append(TargetUse(one.value, one.type, Use(), (), (), 0))
            continue
        mine = f"(SELECT * FROM past_hit WHERE target = {number})"
        hosts = [h for (h,) in logs.sql(f"SELECT host FROM {mine} GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {_SHOWN}")]
        users = [
            u
            for (u,) in logs.sql(
                f"SELECT usr FROM {mine} WHERE usr IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {_SHOWN}"
            )
        ]
        bystanders = logs.one(f"SELECT count(DISTINCT host) FROM {mine} WHERE host NOT IN (SELECT host FROM infected)")
        behind = (
            [
                n
                for (n,) in logs.sql(
                    f"SELECT DISTINCT q.name FROM place q JOIN place_target x ON x.place = q.id "
                    f"AND x.target = {number} WHERE q.name <> '' AND q.name <> q.ip ORDER BY 1 LIMIT {_SHOWN}"
                )
            ]
            if one.type in ("ipv4", "ipv6", "cidr")
            else []
        )
        systems = [
            logs.plan.systems[s].name
            for (s,) in logs.sql(
                f"SELECT DISTINCT s.system FROM {mine} c JOIN place_system s ON s.place = c.place ORDER BY 1"
            )
        ]
        out.append(
            TargetUse(
                one.value,
                one.type,
                use_of(logs, mine),
                tuple(hosts),
                tuple(users),
                int(bystanders[0]),
                tuple(behind),
                tuple(systems),
            )
        )
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many requests a span would lose: the mean of the same hours of the week, and the range seen there."""

    expected: float
    least: int
    most: int


def estimate(
    series: dict[str, list[int]],
    plan: Plan,
    first: str | None,
    last: str | None,
    since: int,
    until: int,
    kinds: Sequence[int] = (0, 1, 2),
) -> Estimate:
    """From a simulation's hourly numbers to a span in the future (UTC microseconds, whole hours and parts of
    them). An hour of the week that the logs cover with no request counts as zero."""
    hours = {key: sum(values[k] for k in kinds) for key, values in series.items()}
    seen: dict[int, list[int]] = {}
    if first and last:
        at = datetime.fromisoformat(first).replace(minute=0, second=0, microsecond=0)
        end = datetime.fromisoformat(last)
        while at <= end:
            local = at.astimezone(plan.zone)
            key = at.strftime("%Y-%m-%dT%H:%M:%SZ")
            seen.setdefault(local.weekday() * 24 + local.hour, []).append(hours.get(key, 0))
            at += timedelta(hours=1)
    expected, least, most = 0.0, 0.0, 0.0
    at_us = since
    while at_us < until:
        end_us = min(until, at_us // HOUR * HOUR + HOUR)
        share = (end_us - at_us) / HOUR
        local = to_datetime(at_us).astimezone(plan.zone)
        counts = seen.get(local.weekday() * 24 + local.hour)
        if counts is None:  # that weekday is not in the logs: the same hour of any day
            counts = [c for hour, values in seen.items() if hour % 24 == local.hour for c in values] or [0]
        expected += sum(counts) / len(counts) * share
        least += min(counts) * share
        most += max(counts) * share
        at_us = end_us
    return Estimate(round(expected, 1), int(least), int(most + 0.999))
