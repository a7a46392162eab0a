"""Who talked to which outside destination: flows of all logs under the machines' names.

A proxy hides its clients from the firewall: a firewall flow that leaves from the proxy is given
to the client whose request to the same address ended at about the same time.

Everything stays in columns, one entry a client and destination; only what is asked for becomes
an object: the large uploads, and the calls to places that nobody but held machines knows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hikeshi.model.evidence import RecordRef
from hikeshi.trace.identity import Identity
from hikeshi.trace.outside import outside_names, public_values
from hikeshi.trace.rows import MINUTE, SECOND

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
_NEVER = 2**62
_CITED = 5
_TEXTS = ("kind", "client", "user", "destination", "ip", "port", "program", "path", "sha256")
_NUMBERS = ("count", "bytes_out", "bytes_in", "largest", "first", "last", "first_place", "largest_place")


@dataclass(slots=True)
class Talk:
    """One client and one outside destination, all logs together."""

    client: str
    destination: str
    kinds: set[str] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)
    count: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    first: int = _NEVER
    last: int = -_NEVER
    times: list[int] = field(default_factory=list)
    refs: list[tuple[int, RecordRef]] = field(default_factory=list)
    upload_refs: list[tuple[int, RecordRef]] = field(default_factory=list)

    def records(self) -> tuple[RecordRef, ...]:
        chosen = (
            sorted(self.upload_refs, key=lambda r: (-r[0], str(r[1])))[:_CITED]
            + sorted(self.refs, key=lambda r: (r[0], str(r[1])))[:_CITED]
        )
        return tuple(dict.fromkeys(ref for _, ref in chosen))


@dataclass(frozen=True, slots=True)
class Use:
    """How a destination is used: by how many machines that are not held, since when by anybody, and
    since when the first of its clients is held."""

    others: int
    first: int
    held_since: int


class _Column:
    """Distinct texts in an Arrow array and one code a row; -1 stands for nothing and for ""."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        whole = column.unify_dictionaries().combine_chunks()
        array = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
        unique = array.dictionary.dictionary_encode()
        self.values: pa.Array = unique.dictionary
        target = np.append(unique.indices.fill_null(-1).to_numpy(zero_copy_only=False), -1).astype(np.int32)
        empty = pc.index(self.values, pa.scalar("", self.values.type)).as_py()
        if empty >= 0:
            target[target == empty] = -1
        self.codes: Codes = target[array.indices.fill_null(-1).to_numpy(zero_copy_only=False)]

    def text(self, row: int) -> str:
        code = self.codes[row]
        return str(self.values[int(code)].as_py()) if code >= 0 else ""

    def is_one_of(self, *wanted: str) -> Mask:
        hit = np.array([v in wanted for v in self.values.to_pylist()] + [False])
        out: Mask = hit[self.codes]
        return out

    def order(self) -> Ints:
        """Codes that compare like the texts."""
        rank = np.full(len(self.values) + 1, -1, dtype=np.int64)
        rank[pc.sort_indices(self.values).to_numpy()] = np.arange(len(self.values))
        out: Ints = rank[self.codes]
        return out


class Flows:
    """Talks, asked for by client; `proxies` are the addresses that stand for hidden clients."""

    def __init__(self, table: pa.Table, who: Identity) -> None:
        self.proxies: set[str] = set()
        self._talk_count = 0
        self._client_of: dict[str, int] = {}
        self._names: list[str] = []
        if table.num_rows:
            self._read(table, who)

    def __len__(self) -> int:
        return self._talk_count

    def _read(self, table: pa.Table, who: Identity) -> None:
        self._texts = texts = {n: _Column(table.column(n)) for n in _TEXTS}
        self._numbers = {n: table.column(n).to_numpy() for n in _NUMBERS}
        self._lines = table.column("lines")
        times = table.column("times").combine_chunks()
        self._times = times.chunk(0) if isinstance(times, pa.ChunkedArray) else times
        name, ip = texts["destination"], texts["ip"]
        outside_name = np.append(outside_names(name.values, who.own_name, frozenset(who.domains)), True)[name.codes]
        outside_ip = np.append(public_values(ip.values), True)[ip.codes]
        used = outside_name & outside_ip & ((name.codes >= 0) | (ip.codes >= 0))
        del outside_name, outside_ip
        self._learn_names(used)
        hidden = self._find_proxies(used)
        used &= texts["client"].codes >= 0
        hidden &= used
        used &= ~hidden & ~texts["kind"].is_one_of("denied")
        rows = self._in_order(np.flatnonzero(used))
        self._join(rows, who)
        self._give_to_clients(self._in_order(np.flatnonzero(hidden)))

    def _in_order(self, rows: Ints) -> Ints:
        """Rows by time, then by where they stand."""
        path = self._texts["path"].order()
        order = np.lexsort((self._numbers["first_place"][rows], path[rows], self._numbers["first"][rows]))
        out: Ints = rows[order]
        return out

    # Names

    def _learn_names(self, used: Mask) -> None:
        """Names of outside addresses, as proxies and programs wrote them side by side."""
        name, ip = self._texts["destination"], self._texts["ip"]
        both = used & (name.codes >= 0) & (ip.codes >= 0) & self._texts["kind"].is_one_of("proxy", "process")
        room = len(name.values) + 1
        pairs = np.unique(ip.codes[both].astype(np.int64) * room + name.codes[both])
        self._named_ip, self._name_of = pairs // room, pairs % room
        # A destination is a name's code, or room + an address's code where no such name is written.
        self._ip_of_name = _codes_in(name.values, ip.values)
        same = _codes_in(ip.values, name.values)
        self._goal_of_ip = np.where(same >= 0, same, room + np.arange(len(ip.values)))
        self._room = room

    def names_of_ip(self, ip: str) -> set[str]:
        """Names that were asked for at this address."""
        if not self._talk_count:
            return set()
        code = pc.index(self._texts["ip"].values, ip).as_py()
        if code < 0:
            return set()
        start, end = np.searchsorted(self._named_ip, [code, code + 1])
        return set(self._texts["destination"].values.take(pa.array(self._name_of[start:end])).to_pylist())

    def _goals(self, rows: Ints) -> Ints:
        """The destination of each row: its name, else its address; an address with a single name is that name."""
        name, ip = self._texts["destination"].codes[rows].astype(np.int64), self._texts["ip"].codes[rows]
        goal = np.where(name >= 0, name, np.append(self._goal_of_ip, -1)[ip])
        address = np.append(self._ip_of_name, -1)[np.where(name >= 0, name, -1)]
        address = np.where(name >= 0, address, ip)
        ips, start, count = np.unique(self._named_ip, return_index=True, return_counts=True)
        single = np.full(len(self._goal_of_ip) + 1, -1, dtype=np.int64)
        single[ips[count == 1]] = self._name_of[start[count == 1]]
        out: Ints = np.where(single[address] >= 0, single[address], goal)
        return out

    def goals_of(self, destinations: Collection[str]) -> Ints:
        """The goals of these texts, as many as somebody talked to."""
        if not self._talk_count:
            return np.empty(0, dtype=np.int64)
        wanted = pa.array(sorted(destinations), pa.string())
        name = _codes_in(wanted, self._texts["destination"].values)
        ip = _codes_in(wanted, self._texts["ip"].values)
        out: Ints = np.concatenate([name[name >= 0], self._goal_of_ip[ip[ip >= 0]]])
        return out

    def _destination(self, goal: int) -> str:
        if goal < self._room:
            return str(self._texts["destination"].values[goal].as_py())
        return str(self._texts["ip"].values[goal - self._room].as_py())

    # Proxies

    def _find_proxies(self, used: Mask) -> Mask:
        """Firewall rows that leave from a proxy: an address that the firewall sees go where clients asked a
        proxy to go, and that asks no proxy itself."""
        client, kind, ip = self._texts["client"], self._texts["kind"], self._texts["ip"]
        firewall = used & kind.is_one_of("firewall")
        named = np.zeros(len(ip.values) + 1, dtype=bool)
        named[self._named_ip] = True
        seen = np.zeros(len(client.values) + 1, dtype=bool)
        seen[client.codes[firewall & named[ip.codes]]] = True
        seen[client.codes[used & kind.is_one_of("proxy")]] = False
        seen[-1] = False
        self.proxies = set(client.values.take(pa.array(np.flatnonzero(seen[:-1]))).to_pylist())
        out: Mask = firewall & seen[client.codes]
        return out

    # Talks

    def _join(self, rows: Ints, who: Identity) -> None:
        """Rows of one client and one destination become one talk; talks stand in the order of their first rows."""
        clients = self._clients(rows, who)
        goals = self._goals(rows)
        key = clients.astype(np.int64) * (self._room + len(self._goal_of_ip)) + goals
        order = np.argsort(key, kind="stable")
        new = np.ones(len(order), dtype=bool)
        sorted_key = key[order]
        np.not_equal(sorted_key[1:], sorted_key[:-1], out=new[1:])
        starts = np.flatnonzero(new)
        del key, sorted_key, new
        self._talk_count = count = len(starts)
        if not count:
            return
        # Talks by their first row's place; the rows of each talk stay in order.
        by_first = np.argsort(order[starts], kind="stable")
        place = np.empty(count, dtype=np.int64)
        place[by_first] = np.arange(count)
        sizes = np.diff(np.append(starts, len(order)))
        talk = np.empty(len(order), dtype=np.int64)
        talk[order] = np.repeat(place, sizes)
        order = np.argsort(talk, kind="stable")
        self._rows, self._bounds = rows[order], np.append(0, np.cumsum(sizes[by_first]))
        self._talk = talk[order]
        del talk
        starts, head = self._bounds[:-1], order[self._bounds[:-1]]
        self.client, self.goal = clients[head].astype(np.int32), goals[head]
        self.first = np.minimum.reduceat(self._numbers["first"][self._rows], starts)
        self.last = np.maximum.reduceat(self._numbers["last"][self._rows], starts)
        # A question is no connection: it neither counts nor carries bytes.
        self._counts = ~self._texts["kind"].is_one_of("dns")[self._rows]
        self.count, self.bytes_out, self.bytes_in = (
            np.add.reduceat(np.where(self._counts, self._numbers[n][self._rows], 0), starts)
            for n in ("count", "bytes_out", "bytes_in")
        )
        lengths = np.diff(self._times.offsets.to_numpy())[self._rows]
        self._calls = np.add.reduceat(np.where(self._counts, lengths, 0), starts)
        self._has_program = np.logical_or.reduceat(self._texts["program"].codes[self._rows] >= 0, starts)
        self._given: dict[int, list[tuple[int, int]]] = {}
        self._by_client = np.argsort(self.client, kind="stable")
        self._client_bounds = np.searchsorted(self.client[self._by_client], np.arange(len(self._client_of) + 1))
        self._goal_codes, self._use_of = np.unique(self.goal, return_inverse=True)
        self._goal_first = np.full(len(self._goal_codes), _NEVER, dtype=np.int64)
        np.minimum.at(self._goal_first, self._use_of, self.first)

    def _clients(self, rows: Ints, who: Identity) -> Ints:
        """The machine of each row: what had the client's address then."""
        column = self._texts["client"]
        index = self._client_of

        def code(text: str) -> int:
            return index.setdefault(text, len(index))

        steady = [who.steady(v) if v else "" for v in column.values.to_pylist()]
        table = np.array([code(s) if s is not None else -1 for s in steady] + [-1], dtype=np.int64)
        codes = column.codes[rows]
        out: Ints = table[codes]
        moved = np.flatnonzero(out < 0)
        if len(moved):
            moved = moved[np.argsort(codes[moved], kind="stable")]
            for part in np.split(moved, np.flatnonzero(np.diff(codes[moved])) + 1):
                address = column.text(int(rows[part[0]]))
                names, which = who.at_times(address, self._numbers["first"][rows[part]])
                out[part] = np.array([code(n) for n in names], dtype=np.int64)[which]
        return out

    def _give_to_clients(self, hidden: Ints) -> None:
        """Bytes the firewall saw leave a proxy go to the client that alone was there at the time."""
        if not len(hidden) or not self._talk_count:
            return
        ips = self._texts["ip"].codes
        wanted = np.zeros(len(self._texts["ip"].values) + 1, dtype=bool)
        wanted[ips[hidden]] = True
        wanted[-1] = False
        at = np.flatnonzero(wanted[ips[self._rows]])
        talk_by_ip = np.unique(ips[self._rows[at]].astype(np.int64) * self._talk_count + self._talk[at])
        order = np.argsort(ips[hidden], kind="stable")
        given = np.full(len(hidden), -1, dtype=np.int64)
        for part in np.split(order, np.flatnonzero(np.diff(ips[hidden][order])) + 1):
            ip = int(ips[hidden[part[0]]])
            start, end = np.searchsorted(talk_by_ip, [ip * self._talk_count, (ip + 1) * self._talk_count])
            if ip >= 0 and start < end:
                given[part] = self._nearest(talk_by_ip[start:end] % self._talk_count, hidden[part])
        proxied = self._texts["kind"].is_one_of("proxy")
        sent, got, largest = (self._numbers[n] for n in ("bytes_out", "bytes_in", "largest"))
        for number in np.flatnonzero(given >= 0).tolist():
            talk, row = int(given[number]), int(hidden[number])
            # The proxy's own figure, where it has one, is the same bytes seen from inside.
            own = self._rows[self._bounds[talk] : self._bounds[talk + 1]]
            if self.bytes_out[talk] >= sent[row] and proxied[own].any():
                continue
            self.bytes_out[talk] += sent[row]
            self.bytes_in[talk] += got[row]
            self._given.setdefault(talk, []).append((int(largest[row]), row))

    def _nearest(self, talks: Ints, rows: Ints) -> Ints:
        """For each firewall row the first of these talks near it in time, if all near ones (or, when none is,
        all) are of one client; else -1."""
        seconds = [self._seconds(t) for t in talks.tolist()]
        talk = np.repeat(talks, [len(s) for s in seconds])
        second = np.concatenate(seconds) if seconds else np.empty(0, np.int64)
        order = np.argsort(second, kind="stable")
        second, talk = second[order] * SECOND, talk[order]
        start = np.searchsorted(second, self._numbers["first"][rows] - 5 * MINUTE)
        end = np.searchsorted(second, self._numbers["last"][rows] + 5 * MINUTE, "right")
        clients = self.client[talk]
        changes = np.append(0, np.cumsum(clients[1:] != clients[:-1])) if len(clients) else np.zeros(1, np.int64)
        everyone = int(talks[0]) if len(set(self.client[talks].tolist())) == 1 else -1
        out = np.full(len(rows), everyone, dtype=np.int64)
        near = np.flatnonzero(end > start)
        alone = changes[end[near] - 1] == changes[start[near]]
        out[near[~alone]] = -1
        for number in near[alone].tolist():
            out[number] = talk[start[number] : end[number]].min()
        return out

    def _seconds(self, talk: int) -> Ints:
        span = slice(int(self._bounds[talk]), int(self._bounds[talk + 1]))
        rows = self._rows[span][self._counts[span]]
        out: Ints = self._times.take(pa.array(rows)).flatten().to_numpy()
        return out

    def talk(self, number: int) -> Talk:
        """One talk with everything its rows tell."""
        texts, numbers = self._texts, self._numbers
        out = Talk(self._client_names()[self.client[number]], self._destination(int(self.goal[number])))
        out.count, out.bytes_out, out.bytes_in, out.first, out.last = (
            int(a[number]) for a in (self.count, self.bytes_out, self.bytes_in, self.first, self.last)
        )
        rows = self._rows[self._bounds[number] : self._bounds[number + 1]]
        out.kinds = _distinct(texts["kind"], rows)
        out.programs = _distinct(texts["program"], rows)
        out.times = np.sort(self._seconds(number)).tolist()
        # Only the foremost few are cited, so only they become references.
        counted = rows[~texts["kind"].is_one_of("dns")[rows]] if "dns" in out.kinds else rows
        first, largest = numbers["first"][counted], numbers["largest"][counted]
        for row in counted[first <= np.sort(first)[min(_CITED, len(first)) - 1]].tolist() if len(counted) else ():
            out.refs.append((int(numbers["first"][row]), self._ref(row, "first_place")))
        uploads = [(int(numbers["largest"][r]), r) for r in counted[largest > 0].tolist()]
        for size, row in (*uploads, *self._given.get(number, ())):
            out.upload_refs.append((size, self._ref(row, "largest_place")))
        return out

    def _client_names(self) -> list[str]:
        if len(self._names) != len(self._client_of):
            self._names = list(self._client_of)
        return self._names

    def _ref(self, row: int, place_in: str) -> RecordRef:
        place, is_line = int(self._numbers[place_in][row]), bool(self._lines[row].as_py())
        return RecordRef(
            self._texts["path"].text(row),
            self._texts["sha256"].text(row),
            record_id=place if place >= 0 and not is_line else None,
            line=place if place >= 0 and is_line else None,
        )

    def held(self, since: Mapping[str, int]) -> HeldTalks:
        """The talks of held machines; `since`: from when each is held."""
        return HeldTalks(self, since)


class HeldTalks:
    """What the held machines' talks look like beside everybody's."""

    def __init__(self, flows: Flows, since: Mapping[str, int]) -> None:
        self._flows, self._since = flows, since
        if not len(flows):
            return
        held = np.full(len(flows._client_of), _NEVER, dtype=np.int64)
        for host, first in since.items():
            code = flows._client_of.get(host)
            if code is not None:
                held[code] = first
        of_talk = held[flows.client]
        uses = len(flows._goal_codes)
        self._others = np.bincount(flows._use_of[of_talk == _NEVER], minlength=uses)
        self._held_since = np.full(uses, _NEVER, dtype=np.int64)
        np.minimum.at(self._held_since, flows._use_of, of_talk)

    def _of(self, host: str) -> Ints:
        flows = self._flows
        code = flows._client_of.get(host)
        if code is None or not len(flows):
            return np.empty(0, dtype=np.int64)
        start, end = flows._client_bounds[code : code + 2]
        out: Ints = flows._by_client[start:end]
        return out

    def _given(self, talks: Ints) -> list[tuple[Talk, Use]]:
        flows = self._flows
        out = []
        for number in talks.tolist():
            use = flows._use_of[number]
            out.append(
                (
                    flows.talk(number),
                    Use(int(self._others[use]), int(flows._goal_first[use]), int(self._held_since[use])),
                )
            )
        return out

    def uploads(self, host: str, much: int) -> list[tuple[Talk, Use]]:
        """Talks that sent more than they got, at least `much` and five times what is usual for this machine."""
        talks = self._of(host)
        if not len(talks):
            return []
        sent, got = self._flows.bytes_out[talks], self._flows.bytes_in[talks]
        in_order = np.sort(sent)
        middle = (len(in_order) - 1) // 2  # of the others' amounts
        chosen = []
        for number in np.flatnonzero((sent >= much) & (sent > got)).tolist():
            usual = 0
            if len(in_order) > 1:
                own = int(np.searchsorted(in_order, sent[number]))
                usual = int(in_order[middle if middle < own else middle + 1])
            if sent[number] >= 5 * usual:
                chosen.append(talks[number])
        found = self._given(np.array(chosen, dtype=np.int64))
        return sorted(found, key=lambda f: (f[0].first, f[0].destination))

    def calls(self, host: str, fewest: int, slack: int, sources: Collection[str]) -> list[tuple[Talk, Use]]:
        """Talks that may be the attacker's: to one of the addresses `sources`, or to a place that only held
        machines use and nobody used before (`slack` allowed), often or by a program that has a name."""
        talks = self._of(host)
        if not len(talks):
            return []
        flows = self._flows
        use = flows._use_of[talks]
        since = np.minimum(self._held_since[use], self._since[host]) - slack
        own = (self._others[use] == 0) & (flows._goal_first[use] >= since)
        wanted = own & ((flows._calls[talks] >= fewest) | flows._has_program[talks])
        if sources:
            goals = flows.goals_of(sources)
            wanted |= np.isin(flows.goal[talks], goals)
        return self._given(talks[wanted & (flows.count[talks] > 0)])


def _distinct(column: _Column, rows: Ints) -> set[str]:
    codes = np.unique(column.codes[rows])
    return set(column.values.take(pa.array(codes[codes >= 0])).to_pylist())


def _codes_in(values: pa.Array, known: pa.Array) -> Ints:
    """The place of each value among the known ones, or -1."""
    out: Ints = pc.index_in(values, value_set=known).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return out
