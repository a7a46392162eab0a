"""What left the house: every contact of an inside client with an outside destination, out of events/*.parquet.

DuckDB streams the Parquet files into one compact table in a private temporary file; memory stays bounded
whatever the logs' size. Destinations are judged once per distinct (name, address), never per row.

Table `contact`: t (UTC microseconds), client (address or name), host (by DHCP lease, else the client), usr, place,
port, kind, verdict, sent, got (bytes), device, path, line, url (only where URL targets need it).
  kind     proxy, firewall, dns; endpoint: what Sysmon on the machine itself says (connections, names asked for)
  verdict  allowed; denied (the device refused it); failed (a gateway error: nobody answered); challenge (the proxy
           asked for a password first); unknown (a name was asked for, the log doesn't say with which answer; a
           machine's own word that it went somewhere, which no device in between confirms)
Table `place`: id, name, ip, shown, target ids and systems are in `place_target` and `place_system`.
Other events of Windows machines themselves are not contacts. A machine's own events go by its name, not by a lease.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from hikeshi.errors import DamagedInput, InputError, Location
from hikeshi.events.leases import Grant, grants, spans
from hikeshi.events.table import from_arrow
from hikeshi.indicators import normalise
from hikeshi.indicators.names import INTERNAL
from hikeshi.respond.places import INSIDE, Places, number_of
from hikeshi.respond.plan import Plan
from hikeshi.respond.targets import Target, url_parts

MEMORY_MB = 384
_BATCH = 20_000
_COLUMNS = {
    "@timestamp": "TIMESTAMPTZ",
    "event.dataset": "VARCHAR",
    "event.action": "VARCHAR",
    "event.outcome": "VARCHAR",
    "event.code": "VARCHAR",
    "event.provider": "VARCHAR",
    "winlog.channel": "VARCHAR",
    "host.name": "VARCHAR",
    "source.ip": "VARCHAR",
    "source.domain": "VARCHAR",
    "source.bytes": "BIGINT",
    "user.name": "VARCHAR",
    "destination.ip": "VARCHAR",
    "destination.domain": "VARCHAR",
    "destination.port": "BIGINT",
    "destination.bytes": "BIGINT",
    "url.full": "VARCHAR",
    "http.request.method": "VARCHAR",
    "http.response.status_code": "BIGINT",
    "dns.question.name": "VARCHAR",
    "observer.name": "VARCHAR",
    "log.file.path": "VARCHAR",
    "log.line": "BIGINT",
}
_DENIED = (
    "(den(y|ied)|block|drop|reject|refus|reset-(both|client|server)|sinkhole|forbid|prevent|quarantin|discard"
    "|nxdomain|rewrit|拒否|遮断|破棄)"
)
# Sysmon on the machine: 3 a connection, 22 a name asked for.
_ENDPOINT = """coalesce("winlog.channel" IS NOT NULL AND "event.code" IN ('3', '22')
  AND ("event.provider" = 'Microsoft-Windows-Sysmon'
    OR "winlog.channel" = 'Microsoft-Windows-Sysmon/Operational'), false)"""
_CONTACT = f"""(("winlog.channel" IS NULL OR {_ENDPOINT}) AND coalesce("event.dataset", '') NOT ILIKE '%dhcp%')"""
_KIND = f"""CASE WHEN {_ENDPOINT} THEN 'endpoint'
  WHEN coalesce("dns.question.name", '') <> '' AND "url.full" IS NULL THEN 'dns'
  WHEN "url.full" IS NOT NULL OR "http.request.method" IS NOT NULL
    OR regexp_matches("event.dataset", '(proxy|squid|zscaler|bluecoat|skyhigh|webgateway|filter)') THEN 'proxy'
  ELSE 'firewall' END"""
_NAME = """lower(rtrim(coalesce(nullif("destination.domain", ''), CASE WHEN "url.full" IS NULL
  THEN "dns.question.name" END, ''), '.'))"""
# What a DNS log names as destination is the name server, not where anybody went.
_IP = f"""CASE WHEN ({_KIND}) = 'dns' THEN '' ELSE coalesce("destination.ip", '') END"""
# A device that doesn't name itself goes by its log, without the endings that rotation gives it.
_LOG = r"""regexp_replace(regexp_replace("log.file.path", '!.*$', ''),
  '([.](gz|bz2|xz|zst|zip|[0-9]+)|[-_.][0-9]{8})+$', '')"""
_CLIENT = f"""lower(coalesce(CASE WHEN {_ENDPOINT} THEN nullif("host.name", '') END,
  nullif("source.ip", ''), "source.domain", ''))"""


class Traffic:
    """Open with `traffic(...)`; `sql` asks."""

    def __init__(
        self, link: duckdb.DuckDBPyConnection, plan: Plan, targets: Sequence[Target], names: Mapping[str, str]
    ) -> None:
        self.link, self.plan, self.targets, self.names = link, plan, tuple(targets), names
        self.files: tuple[Path, ...] = ()
        self.proxies: frozenset[str] = plan.proxies

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.link.execute(query, list(parameters)).fetchall()

    def one(self, query: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
        return self.sql(query, parameters)[0]

    def keep(self, values: Collection[str]) -> None:
        """From now on only these targets count."""
        out = [(n,) for n, t in enumerate(self.targets) if t.value not in values]
        for table in ("place_target", "url_hit"):
            self.link.executemany(f"DELETE FROM {table} WHERE target = ?", out) if out else None

    def users_of(self, infected: Collection[str]) -> tuple[dict[str, int], int]:
        """For each target value how many hosts use it that are not infected; and how many hosts there are."""
        self.link.execute("CREATE OR REPLACE TEMP TABLE infected (host VARCHAR)")
        insert(self.link, "infected", [(h,) for h in sorted(infected)])
        rows = self.sql("SELECT target, count(DISTINCT host) FROM hit WHERE host NOT IN (SELECT host FROM infected) "
                        "AND verdict IN ('allowed', 'unknown') GROUP BY 1")
        return ({self.targets[n].value: count for n, count in rows},
                int(self.one("SELECT count(DISTINCT host) FROM contact")[0]))

    def span(self, kind: str | None = None) -> tuple[int, int] | None:
        """First and last time of the contacts."""
        where = "" if kind is None else "WHERE kind = ?"
        first, last = self.one(f"SELECT min(t), max(t) FROM contact {where}", [] if kind is None else [kind])
        return None if first is None else (first, last)


@contextmanager
def traffic(
    tables: Sequence[Path],
    plan: Plan,
    targets: Sequence[Target] = (),
    *,
    names: Mapping[str, str] | None = None,
    memory_mb: int = MEMORY_MB,
    threads: int | None = None,
) -> Iterator[Traffic]:
    """`names` are machines' names by address, for addresses without a lease.

    Raises InputError where there are no events, DamagedInput where a file is no Parquet."""
    good = [path for path in tables if _rows(path)]
    if not good:
        raise InputError("no events in the result", hint="hikeshi triage LOGS --out RESULT, then give RESULT")
    with tempfile.TemporaryDirectory(prefix="hikeshi-contain-") as folder:
        link = duckdb.connect(
            str(Path(folder) / "contacts.duckdb"),
            config={
                "memory_limit": f"{memory_mb}MB",
                "temp_directory": str(Path(folder) / "spill"),
                "threads": threads or 2,
                "preserve_insertion_order": False,
                # Offline: nothing is ever fetched or loaded.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            made = Traffic(link, plan, targets, names or {})
            made.files = tuple(good)
            _fill(made)
            yield made
        finally:
            link.close()


def _rows(path: Path) -> int:
    try:
        return int(pq.ParquetFile(path).metadata.num_rows)
    except (OSError, ValueError) as error:
        raise DamagedInput(
            f"no events file: {error}", source=Location(str(path)), hint="run the triage again"
        ) from error


def _fill(made: Traffic) -> None:
    link = made.link
    listed = "[" + ", ".join("'" + str(p).replace("'", "''") + "'" for p in made.files) + "]"
    present = {
        row[0] for row in link.execute(f"DESCRIBE SELECT * FROM read_parquet({listed}, union_by_name=true)").fetchall()
    }
    columns = ", ".join(
        f'"{n}"::{kind} AS "{n}"' if n in present else f'NULL::{kind} AS "{n}"' for n, kind in _COLUMNS.items()
    )
    link.execute(f"CREATE VIEW event AS SELECT {columns} FROM read_parquet({listed}, union_by_name=true)")
    if {"event.dataset", "source.ip", "@timestamp"} <= present:
        _leases(made, listed)
    link.execute(f"""CREATE TABLE seen AS SELECT row_number() OVER () AS id, name, ip FROM (
        SELECT DISTINCT {_NAME} AS name, {_IP} AS ip FROM event
        WHERE {_CONTACT}) WHERE name <> '' OR ip <> ''""")
    _places(made)
    _clients(made)
    _contacts(made)
    made.proxies |= _proxies(made)


def _leases(made: Traffic, listed: str) -> None:
    link = made.link
    link.execute("CREATE TABLE lease (address VARCHAR, since BIGINT, until BIGINT, host VARCHAR)")
    found = spans(_grants(link.cursor(), listed))
    insert(link, "lease", ((s.address.lower(), s.start, s.end, short_host(s.host, made.plan)) for s in found if s.host))


def _grants(link: duckdb.DuckDBPyConnection, listed: str) -> Iterator[Grant]:
    """What the lease logs say, address by address."""
    rows = link.sql(f"""SELECT * FROM read_parquet({listed}, union_by_name=true)
        WHERE "event.dataset" ILIKE '%dhcp%' AND "source.ip" IS NOT NULL ORDER BY "source.ip" """)
    for batch in rows.to_arrow_reader(_BATCH):
        yield from grants(from_arrow(pa.Table.from_batches([batch])))


def _places(made: Traffic) -> None:
    link, plan = made.link, made.plan
    link.execute("CREATE TABLE place (id BIGINT, name VARCHAR, ip VARCHAR, shown VARCHAR)")
    link.execute("CREATE TABLE place_target (place BIGINT, target INTEGER)")
    link.execute("CREATE TABLE place_system (place BIGINT, system INTEGER)")
    link.execute("CREATE TABLE place_allow (place BIGINT, allow INTEGER)")
    link.execute("CREATE TABLE url_place (place BIGINT)")
    wanted, urls = Places(), Places()
    for number, one in enumerate(made.targets):
        if one.type == "url":
            urls.add(one.host, number)
        elif one.host:
            wanted.add(one.host, number)
    systems = Places((d, n) for n, s in enumerate(plan.systems) for d in s.destinations)
    allowed = Places((a.destination, n) for n, a in enumerate(plan.allow))
    for batch in _batches(link.cursor().execute("SELECT id, name, ip FROM seen")):
        kept, hits, business, open_, links = [], [], [], [], []
        for number, name, ip in batch:
            if not outside(name, ip, plan):
                continue
            kept.append((number, name, ip, name or ip))
            hits += [(number, t) for t in dict.fromkeys(wanted.of(name, ip))]
            business += [(number, s) for s in dict.fromkeys(systems.of(name, ip))]
            open_ += [(number, a) for a in dict.fromkeys(allowed.of(name, ip))]
            # A URL names one host, not what lies below it.
            if any(made.targets[int(str(t))].host in (name, ip) for t in urls.of(name, ip)):
                links.append((number,))
        for table, rows in (
            ("place", kept),
            ("place_target", hits),
            ("place_system", business),
            ("place_allow", open_),
            ("url_place", links),
        ):
            insert(link, table, rows)


def _clients(made: Traffic) -> None:
    link = made.link
    link.execute(f"""CREATE TABLE every AS SELECT DISTINCT {_CLIENT} AS client FROM event""")
    link.execute("CREATE TABLE inside (client VARCHAR, shown VARCHAR)")
    for batch in _batches(link.cursor().execute("SELECT client FROM every WHERE client <> ''")):
        rows = [
            (c, made.names.get(c) or (c if number_of(c) else short_host(c, made.plan)))
            for (c,) in batch
            if inside(c, made.plan)
        ]
        insert(link, "inside", rows)


def _contacts(made: Traffic) -> None:
    made.link.execute(f"""CREATE TABLE contact AS
      WITH base AS (SELECT epoch_us("@timestamp") AS t, {_CLIENT} AS client, {_NAME} AS name, {_IP} AS ip,
          nullif(lower("user.name"), '') AS usr, "destination.port" AS port, {_KIND} AS kind,
          lower(coalesce("event.action", '')) AS action, "event.outcome" AS outcome,
          "http.response.status_code" AS status, coalesce("source.bytes", 0) AS sent,
          coalesce("destination.bytes", 0) AS got,
          coalesce(nullif("observer.name", ''), {_LOG}, '') AS device, "log.file.path" AS path,
          "log.line" AS line, "url.full" AS url
        FROM event WHERE {_CONTACT} AND "@timestamp" IS NOT NULL)
      SELECT b.t, b.client, coalesce(CASE WHEN b.t < l.until THEN l.host END, i.shown) AS host, b.usr, p.id AS place,
        b.port, b.kind,
        CASE WHEN b.kind = 'endpoint' THEN 'unknown'
          WHEN b.kind = 'dns' THEN CASE WHEN regexp_matches(b.action, '{_DENIED}') THEN 'denied' ELSE 'unknown' END
          WHEN b.status = 407 THEN 'challenge'
          WHEN regexp_matches(b.action, '{_DENIED}') OR (b.kind = 'firewall' AND b.outcome = 'failure') THEN 'denied'
          WHEN b.kind = 'proxy' AND b.status IN (502, 503, 504) THEN 'failed' ELSE 'allowed' END AS verdict,
        b.sent, b.got, b.device, b.path, b.line,
        CASE WHEN u.place IS NOT NULL THEN b.url END AS url
      FROM base b JOIN place p ON p.name = b.name AND p.ip = b.ip JOIN inside i ON i.client = b.client
        LEFT JOIN url_place u ON u.place = p.id
        ASOF LEFT JOIN lease l ON l.address = b.client AND b.t >= l.since""")
    made.link.execute("CREATE TABLE url_hit (url VARCHAR, target INTEGER)")
    urls = [(n, t) for n, t in enumerate(made.targets) if t.type == "url"]
    if urls:
        for batch in _batches(made.link.cursor().execute("SELECT DISTINCT url FROM contact WHERE url IS NOT NULL")):
            rows = [(url, n) for (url,) in batch for n, t in urls if url_matches(url, t.value)]
            insert(made.link, "url_hit", rows)
    # One row per contact and target; `hit` is what a list with these targets would stop.
    made.link.execute("""CREATE VIEW hit AS SELECT c.*, pt.target FROM contact c JOIN place_target pt USING (place)
        UNION ALL SELECT c.*, h.target FROM contact c JOIN url_hit h USING (url)""")


def _proxies(made: Traffic) -> frozenset[str]:
    """Clients that are proxies, though the plan doesn't name them: the firewall sees them go where proxy clients
    went, and no proxy sees them. Counting both would count every request twice."""
    rows = made.sql("""SELECT c.client FROM contact c JOIN place p ON p.id = c.place
        WHERE c.kind = 'firewall' AND c.client NOT IN (SELECT DISTINCT client FROM contact WHERE kind = 'proxy')
        GROUP BY 1 HAVING count(DISTINCT p.ip) >= 10 AND count(DISTINCT p.ip) FILTER (p.ip IN (
          SELECT q.ip FROM contact d JOIN place q ON q.id = d.place WHERE d.kind = 'proxy')) >=
          0.8 * count(DISTINCT p.ip)""")
    return frozenset(client for (client,) in rows)


def quoted(values: Iterable[str]) -> str:
    """Texts as a list for SQL's IN; never an empty one."""
    return ", ".join("'" + v.replace("'", "''") + "'" for v in sorted(values)) or "''"


def outside(name: str, ip: str, plan: Plan) -> bool:
    """Whether a destination lies outside: neither private nor our own, and a full name or an address."""
    if ip and (INSIDE.of_address(ip) or plan.own.of_address(ip)):
        return False
    if not name:
        return number_of(ip) is not None
    if number_of(name) is not None:
        return not (INSIDE.of_address(name) or plan.own.of_address(name))
    ending = name.rpartition(".")[2]
    return "." in name and ending not in INTERNAL and ending not in ("arpa", "localhost") and not plan.own.of_name(name)


def inside(client: str, plan: Plan) -> bool:
    """A client of ours: a private or own address, or a name (outsiders come as addresses)."""
    return number_of(client) is None or bool(INSIDE.of_address(client) or plan.own.of_address(client))


def short_host(name: str, plan: Plan) -> str:
    """A machine's name as cases write it: lower case, without our own domain."""
    text = name.strip().lower().rstrip(".")
    first, dot, rest = text.partition(".")
    internal = rest.rpartition(".")[2] in INTERNAL or rest in INTERNAL
    return first if dot and number_of(text) is None and (internal or plan.own.of_name(rest)) else text


def url_matches(url: str, prefix: str) -> bool:
    """Whether the URL is the listed one or lies below it."""
    found = normalise(url, "url")
    if found is None:
        return False
    seen, listed = url_parts(found.value), url_parts(prefix)
    if seen[1:3] != listed[1:3] or (listed[0] and seen[0] and listed[0] != seen[0]):
        return False
    path, wanted = seen[3] or "/", listed[3] or "/"
    if not path.startswith(wanted):
        return False
    rest = path[len(wanted) :]
    return not rest or wanted.endswith("/") or rest[0] in "/?&#"


def _batches(cursor: Any) -> Iterator[list[tuple[Any, ...]]]:
    while batch := cursor.fetchmany(_BATCH):
        yield batch


def insert(link: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Sequence[Any]]) -> None:
    """Through Arrow: row by row would take minutes for a million places."""
    part: list[Sequence[Any]] = []
    described = link.execute(f"DESCRIBE {table}").fetchall()
    names = [row[0] for row in described]

    def flush() -> None:
        if part:
            columns = list(zip(*part, strict=True))
            batch = pa.table({n: list(c) for n, c in zip(names, columns, strict=True)})
            link.register("batch", batch)
            link.execute(f"INSERT INTO {table} SELECT * FROM batch")
            link.unregister("batch")
            part.clear()

    for row in rows:
        part.append(row)
        if len(part) >= _BATCH:
            flush()
    flush()
