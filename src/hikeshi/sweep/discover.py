"""What looks like command and control without being on any list.

Every contact (client → destination, time, bytes, duration) is kept as a few numbers; then six questions are
asked of each pair. A destination that many clients use is their daily business: updates, telemetry, time
servers and content networks are regular and busy, but not rare. Each answer has its numbers and its records.

beacon   regular gaps to a rare destination: at least a dozen contacts, three of four gaps near the median
         (or near a small multiple: a machine asleep misses beats)
shared   a rare destination that several infected clients have in common
new      a rare destination that appears late in the logs and is busy from then on
address  a public address called without a name
long     a connection of an hour and more to a rare destination
upload   much more sent out than this client sends to anywhere else, and more than came back
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hikeshi.events.time import NO_TIME, format_utc
from hikeshi.model.text import Text

if TYPE_CHECKING:
    from hikeshi.events.table import EventTable
    from hikeshi.evidence.source import Source

Kind = Literal["beacon", "shared", "new", "address", "long", "upload"]
Array = npt.NDArray[Any]

MAX_CONTACTS = 8_000_000  # some 400 MB; what comes after is counted, not kept
RECORDS = 20
_SECOND = 1_000_000
_HOUR, _DAY = 3600 * _SECOND, 86_400 * _SECOND
_FEWEST_BEATS = 12
_NEAR = 0.2
_REGULAR = 0.75
_SHORTEST_GAP, _LONGEST_GAP = 5 * _SECOND, 26 * _HOUR
_UPLOAD = 20 << 20
_TIMES_NORM = 10
_QUIET_PORTS = frozenset({53, 123, 137, 138, 5353, 67, 68, 161, 1900})
_DURATIONS: tuple[tuple[str, int], ...] = (
    ("event.duration", 0), ("duration", _SECOND), ("squid.elapsed_ms", 1000), ("time-taken", 1000), ("elapsed", 1000))
_COLUMNS: dict[str, Any] = {
    "client": np.int32, "place": np.int32, "time": np.int64, "out": np.int64, "back": np.int64, "length": np.int64,
    "port": np.int32, "file": np.int32, "line": np.int64}


@dataclass(frozen=True, slots=True)
class Discovery:
    """One suspicion. `score` 0 to 100 orders them; `numbers` are what it rests on; `records` are (file,
    sha256, line)."""

    kind: Kind
    destination: str
    clients: tuple[str, ...]
    score: int
    reason: Text
    first: str | None
    last: str | None
    numbers: dict[str, float]
    records: tuple[tuple[str, str, int], ...]

    def to_dict(self) -> dict[str, object]:
        return {"discovery": self.kind, "destination": self.destination, "clients": list(self.clients),
                "score": self.score, "reason": {"ja": self.reason.ja, "en": self.reason.en},
                "first_seen": self.first, "last_seen": self.last, "numbers": self.numbers,
                "records": [{"file": f, "sha256": s, "line": n} for f, s, n in self.records]}


@dataclass(slots=True)
class Gathered:
    """Contacts as columns, from one process to another; `left_out` came after MAX_CONTACTS."""

    columns: dict[str, Array]
    clients: list[str]
    places: list[str]
    files: list[tuple[str, str]]
    left_out: int = 0


_CLIENTS = ("source.ip", "source.domain", "host.name")
# A machine's own word goes by its name: names asked for come without an address.
_CLIENTS_OWN = ("host.name", "source.ip")
_SYSMON = "Microsoft-Windows-Sysmon/Operational"


def _is_own(table: EventTable) -> bool:
    channel = table.columns.get("winlog.channel")
    return channel is not None and channel.values == [_SYSMON] and not (channel.dense(table.row_count) < 0).any()


@dataclass(slots=True)
class Contacts:
    """Collects contacts table by table."""

    clients: dict[str, int] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    files: dict[tuple[str, str], int] = field(default_factory=dict)
    parts: list[dict[str, Array]] = field(default_factory=list)
    count: int = 0
    left_out: int = 0

    def add(self, source: Source, table: EventTable) -> None:
        """The rows with a client, an outside destination and a time."""
        clients, client_codes = _texts(table, _CLIENTS_OWN if _is_own(table) else _CLIENTS)
        places, place_codes = _texts(table, ("destination.domain", "dns.question.name", "destination.ip"))
        outside = np.array([_outside(p) for p in places] + [False])
        rows = np.flatnonzero((client_codes >= 0) & outside[place_codes] & (table.times != NO_TIME))
        room = MAX_CONTACTS - self.count
        if len(rows) > room:
            self.left_out += len(rows) - room
            rows = rows[:room]
        if not len(rows):
            return
        own = np.array([self.clients.setdefault(c.lower(), len(self.clients)) for c in clients], dtype=np.int32)
        theirs = np.array([self.places.setdefault(_name(p), len(self.places)) for p in places], dtype=np.int32)
        file = self.files.setdefault((source.name, source.sha256), len(self.files))
        self.parts.append({
            "client": own[client_codes[rows]], "place": theirs[place_codes[rows]], "time": table.times[rows],
            "out": _numbers(table, "source.bytes", 1)[rows], "back": _numbers(table, "destination.bytes", 1)[rows],
            "length": _durations(table)[rows], "port": _numbers(table, "destination.port", 1)[rows].astype(np.int32),
            "file": np.full(len(rows), file, dtype=np.int32), "line": _numbers(table, "log.line", 1)[rows]})
        self.count += len(rows)

    def join(self, other: Gathered) -> None:
        """Add what another process gathered."""
        own = np.array([self.clients.setdefault(c, len(self.clients)) for c in other.clients], dtype=np.int32)
        theirs = np.array([self.places.setdefault(p, len(self.places)) for p in other.places], dtype=np.int32)
        files = np.array([self.files.setdefault(f, len(self.files)) for f in other.files], dtype=np.int32)
        size = len(other.columns["time"])
        room = max(0, MAX_CONTACTS - self.count)
        self.left_out += other.left_out + max(0, size - room)
        if min(size, room):
            columns = {k: v[:room] for k, v in other.columns.items()}
            self.parts.append(columns | {"client": own[columns["client"]], "place": theirs[columns["place"]],
                                         "file": files[columns["file"]]})
            self.count += min(size, room)

    def gathered(self) -> Gathered:
        columns = {k: np.concatenate([p[k] for p in self.parts] or [np.empty(0, t)]).astype(t)
                   for k, t in _COLUMNS.items()}
        return Gathered(columns, list(self.clients), list(self.places), list(self.files), self.left_out)


def discover(contacts: Gathered, *, infected: Collection[str] = (),
             harmless: Callable[[str], bool] = lambda name: False) -> list[Discovery]:
    """Suspicions, the strongest first. `infected` are clients already known to be; `harmless` says of a
    destination that a warning list knows it: it is still looked at, and ranks low."""
    if not len(contacts.columns["time"]):
        return []
    found = _Search(contacts, frozenset(c.lower() for c in infected)).all()
    out = []
    for one in found:
        if harmless(one.destination):
            one = replace(one, score=one.score // 4, reason=Text(
                one.reason.ja + "(警告リストにあり、無害かもしれません)",
                one.reason.en + " (on a warning list: perhaps harmless)"))
        out.append(one)
    return sorted(out, key=lambda d: (-d.score, d.kind, d.destination, d.clients))


class _Search:
    """All contacts, sorted by destination, client and time; runs of one pair are looked at together."""

    def __init__(self, contacts: Gathered, infected: frozenset[str]) -> None:
        self.names, self.places, self.files = contacts.clients, contacts.places, contacts.files
        order = np.lexsort((contacts.columns["time"], contacts.columns["client"], contacts.columns["place"]))
        self.c = {k: v[order] for k, v in contacts.columns.items()}
        new = np.ones(len(order), dtype=np.bool_)
        new[1:] = (np.diff(self.c["place"]) != 0) | (np.diff(self.c["client"]) != 0)
        self.starts = np.flatnonzero(new)
        self.ends = np.append(self.starts[1:], len(order))
        self.pair_place, self.pair_client = self.c["place"][self.starts], self.c["client"][self.starts]
        self.per_place = np.bincount(self.pair_place, minlength=len(self.places))  # clients of each destination
        self.begin, self.end = int(self.c["time"].min()), int(self.c["time"].max())
        self.infected = {i for i, name in enumerate(self.names) if name in infected}
        # Rare: a few machines, however large the house is.
        self.rare = min(20, max(2, len(self.names) // 50))

    def all(self) -> list[Discovery]:
        out: list[Discovery] = []
        firsts = np.full(len(self.places), self.end, dtype=np.int64)
        np.minimum.at(firsts, self.c["place"], self.c["time"])
        sent = self._sent()
        for pair in range(len(self.starts)):
            rows = slice(int(self.starts[pair]), int(self.ends[pair]))
            place, client = int(self.pair_place[pair]), int(self.pair_client[pair])
            if self.per_place[place] > self.rare or set(self.c["port"][rows].tolist()) <= _QUIET_PORTS:
                continue
            for find in (self._beacon, self._address, self._long):
                one = find(place, client, rows)
                if one is not None:
                    out.append(one)
            one = self._upload(place, client, rows, sent)
            if one is not None:
                out.append(one)
            one = self._new(place, client, rows, int(firsts[place]))
            if one is not None:
                out.append(one)
        return out + self._shared()

    def _of(self, kind: Kind, place: int, clients: Sequence[int], rows: Array | slice, score: float, reason: Text,
            **numbers: float) -> Discovery:
        times = self.c["time"][rows]
        records = [(*self.files[f], n) for f, n in zip(self.c["file"][rows].tolist()[:RECORDS],
                                                     self.c["line"][rows].tolist()[:RECORDS], strict=True) if n >= 0]
        # The rarer the destination and the more infected machines among its clients, the stronger.
        score += 10 * any(c in self.infected for c in clients)
        return Discovery(kind, self.places[place], tuple(sorted(self.names[c] for c in clients)),
                         int(max(1, min(100, score))), reason, format_utc(int(times.min())),
                         format_utc(int(times.max())), {"contacts": len(times), "clients": int(self.per_place[place]),
                                                        **numbers}, tuple(records))

    def _beacon(self, place: int, client: int, rows: slice) -> Discovery | None:
        times = np.unique(self.c["time"][rows] // _SECOND) * _SECOND
        if len(times) < _FEWEST_BEATS:
            return None
        gaps = np.diff(times)
        usual = float(np.median(gaps))
        if not _SHORTEST_GAP <= usual <= _LONGEST_GAP or times[-1] - times[0] < max(10 * usual, _HOUR / 2):
            return None
        beats = np.maximum(1, np.round(gaps / usual))
        near = np.abs(gaps - beats * usual) <= _NEAR * usual
        share = float((near & (beats <= 8)).mean())
        single = float((near & (beats == 1)).mean())
        if share < _REGULAR or single < 0.5:
            return None
        spread = float(np.median(np.abs(gaps[near] / beats[near] - usual)) / usual) if near.any() else 1.0
        score = 40 + 40 * (share - _REGULAR) / (1 - _REGULAR) + 15 * (self.per_place[place] == 1)
        every = usual / _SECOND
        return self._of("beacon", place, [client], rows, score, Text(
            f"約 {every:,.0f} 秒ごとに規則正しく {len(times):,} 回(間隔の {share:.0%} が一致)。使う端末は "
            f"{self.per_place[place]:,} 台だけ",
            f"regular contact about every {every:,.0f} seconds, {len(times):,} times ({share:.0%} of the gaps fit); "
            f"only {self.per_place[place]:,} client(s) use it"), gap_s=round(every, 1), regular=round(share, 3),
            jitter=round(spread, 3))

    def _address(self, place: int, client: int, rows: slice) -> Discovery | None:
        count = rows.stop - rows.start
        web = np.isin(self.c["port"][rows], (80, 443, 8080, 8443, 4443))
        if count < 3 or not _is_address(self.places[place]) or not web.any():
            return None
        return self._of("address", place, [client], rows, 20 + min(20, count / 10), Text(
            f"名前を使わずIPアドレスへ直接 {count:,} 回。使う端末は {self.per_place[place]:,} 台だけ",
            f"called {count:,} times by address, without a name; only {self.per_place[place]:,} client(s) use it"))

    def _long(self, place: int, client: int, rows: slice) -> Discovery | None:
        longest = int(self.c["length"][rows].max())
        if longest < _HOUR:
            return None
        hours = longest / _HOUR
        return self._of("long", place, [client], rows, 30 + min(30, 5 * hours), Text(
            f"{hours:.1f} 時間続いた接続。使う端末は {self.per_place[place]:,} 台だけ",
            f"a connection of {hours:.1f} hours; only {self.per_place[place]:,} client(s) use it"),
            longest_s=round(longest / _SECOND))

    def _sent(self) -> dict[int, Array]:
        """Per client what it sent to each of its destinations."""
        out = np.add.reduceat(np.maximum(self.c["out"], 0), self.starts)
        order = np.argsort(self.pair_client, kind="stable")
        clients, starts = np.unique(self.pair_client[order], return_index=True)
        return dict(zip(clients.tolist(), np.split(out[order], starts[1:]), strict=True))

    def _upload(self, place: int, client: int, rows: slice, sent: dict[int, Array]) -> Discovery | None:
        out, back = (int(np.maximum(self.c[k][rows], 0).sum()) for k in ("out", "back"))
        others = sent[client]
        # The norm: what the client's nine of ten destinations stay below, this one among them.
        norm = float(np.quantile(others, 0.9) if len(others) >= 10 else np.median(others) if len(others) > 2 else 0.0)
        if out < _UPLOAD or out < 2 * back or out < _TIMES_NORM * norm:
            return None
        return self._of("upload", place, [client], rows, 50 + min(35, 5 * np.log2(out / _UPLOAD + 1)), Text(
            f"{out:,} バイトを送信(受信 {back:,})。この端末の普段の宛先は {norm:,.0f} バイトまで",
            f"{out:,} bytes sent out ({back:,} came back); to its usual destinations this client sends up to "
            f"{norm:,.0f}"),
            bytes_out=out, bytes_in=back, norm=round(norm))

    def _new(self, place: int, client: int, rows: slice, first: int) -> Discovery | None:
        """Late and busy; the logs must be long enough to know what is old."""
        length = self.end - self.begin
        count = rows.stop - rows.start
        if length < 3 * _DAY or first < self.begin + 0.6 * length or count < 50:
            return None
        days = len(np.unique(self.c["time"][rows] // _DAY))
        return self._of("new", place, [client], rows, 15 + min(15, count / 50), Text(
            f"ログの {100 * (first - self.begin) / length:.0f}% の時点で初めて現れ、以後 {count:,} 回({days} 日)",
            f"first seen after {100 * (first - self.begin) / length:.0f}% of the logs' time, then {count:,} times on "
            f"{days} day(s)"), days=days)

    def _shared(self) -> list[Discovery]:
        """Destinations of several infected clients and hardly anybody else."""
        if len(self.infected) < 2:
            return []
        marks = np.isin(self.pair_client, list(self.infected))
        held = np.bincount(self.pair_place[marks], minlength=len(self.places))
        out = []
        for place in np.flatnonzero((held >= 2) & (self.per_place <= np.maximum(2 * held, 3))).tolist():
            if self.per_place[place] - held[place] > held[place]:
                continue
            pairs = np.flatnonzero(self.pair_place == place)
            rows = np.concatenate([np.arange(self.starts[p], self.ends[p]) for p in pairs])
            if set(self.c["port"][rows].tolist()) <= _QUIET_PORTS:
                continue
            share = held[place] / self.per_place[place]
            out.append(self._of(
                "shared", place, self.pair_client[pairs].tolist(), rows,
                30 + 30 * share + 20 * min(1.0, held[place] / len(self.infected)), Text(
                    f"感染端末 {held[place]:,} 台に共通し、ほかは {self.per_place[place] - held[place]:,} 台だけの宛先",
                    f"shared by {held[place]:,} infected clients, and by only "
                    f"{self.per_place[place] - held[place]:,} others"),
                infected=int(held[place])))
        return out


# ---- columns ---------------------------------------------------------------------------------


def _texts(table: EventTable, names: Iterable[str]) -> tuple[list[str], Array]:
    """Values and, per row, the number of the first column that has one; -1 for none."""
    out = np.full(table.row_count, -1, dtype=np.int64)
    values: list[str] = []
    for name in names:
        column = table.columns.get(name)
        if column is None:
            continue
        codes = column.dense(table.row_count)
        use = (out < 0) & (codes >= 0)
        out[use] = codes[use] + len(values)
        values += [str(v) for v in column.values]
    return values, out


def _numbers(table: EventTable, name: str, unit: int) -> Array:
    """A column or field of numbers times `unit`, -1 where there is none."""
    column = table.columns.get(name) or table.fields.get(name)
    if column is None:
        return np.full(table.row_count, -1, dtype=np.int64)
    values = np.array([_number(v, unit) for v in column.values] + [-1], dtype=np.int64)
    out: Array = values[column.dense(table.row_count)]
    return out


def _number(value: Any, unit: int) -> int:
    try:
        found = float(value) * unit
    except (TypeError, ValueError):
        return -1
    return int(found) if 0 <= found < 2**62 else -1


def _durations(table: EventTable) -> Array:
    """Microseconds, -1 where the log does not say."""
    for name, unit in _DURATIONS:
        if table.columns.get(name) or table.fields.get(name):
            # ECS durations are nanoseconds.
            found = _numbers(table, name, unit or 1)
            return found if unit else np.where(found > 0, found // 1000, found)
    return np.full(table.row_count, -1, dtype=np.int64)


def _name(place: str) -> str:
    return place.lower().rstrip(".").strip("[]")


@lru_cache(maxsize=100_000)
def _is_address(place: str) -> bool:
    try:
        ipaddress.ip_address(place)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=100_000)
def _outside(place: str) -> bool:
    """Neither this house's own addresses nor bare machine names."""
    name = _name(place)
    if _is_address(name):
        found = ipaddress.ip_address(name)
        # Not is_private: documentation ranges stand for the internet in exercises.
        return not (found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified
                    or any(found.version == n.version and found in n for n in _INSIDE))
    return "." in name and not name.endswith((".local", ".lan", ".internal", ".arpa", ".home", ".corp", ".intra"))


_INSIDE = tuple(ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
                                                 "255.255.255.255/32", "fc00::/7"))
