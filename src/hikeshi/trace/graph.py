"""Measures of the logon graph: which machines and accounts matter most, and which hours were unlike the others.

Nodes are machines and accounts; a logon ties source, account and destination. A node's rank is the
share of time a walker along the ties spends there (PageRank with a jump of 15 %), ties weighted by the
logarithm of their logons, so that a backup job does not outweigh everything. An hour is unusual by its
ties never seen before and its failures, measured against all hours of the log (median and median deviation).
Everything is columns: a million logons take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hikeshi.model.case import Rank, UnusualHour
from hikeshi.model.text import Text
from hikeshi.trace.rows import HOUR, Rows, when
from hikeshi.trace.sessions import Sessions

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_JUMP, _ROUNDS, _CLOSE = 0.15, 100, 1e-9
_SHOWN, _HOURS_SHOWN = 20, 12
_UNUSUAL = 6.0  # deviations from the usual
_LEARNING_H = 24  # at the beginning everything is new


@dataclass(frozen=True, slots=True)
class Graph:
    ranking: tuple[Rank, ...] = ()
    unusual: tuple[UnusualHour, ...] = ()


def measure(rows: Rows, sessions: Sessions, held: frozenset[str]) -> Graph:
    """Ranks of the 20 first machines and accounts, and unusual hours; `held` names get their mark."""
    if not len(sessions):
        return Graph()
    count = sessions.count
    names, room = sessions.names(), len(sessions.names())
    source, account, destination = sessions.source, sessions.account + room, sessions.destination
    ends = np.concatenate([source, account, destination, account])
    others = np.concatenate([account, source, account, destination])
    weight = np.tile(np.log1p(count), 4)
    rank = pagerank(ends, others, weight, 2 * room)
    new = _first_ties(sessions, room)
    ranking = [
        *_ranks("host", rank[:room], names, sessions, held, (sessions.destination, sessions.account), new),
        *_ranks("account", rank[room:], names, sessions, held, (sessions.account, sessions.destination), new),
    ]
    return Graph(tuple(ranking), tuple(_hours(rows, sessions, new)))


def pagerank(ends: Ints, others: Ints, weight: Floats, nodes: int) -> Floats:
    """The share of each node; sums to one over nodes that have ties. Ties go from `ends` to `others`."""
    out = np.bincount(ends, weight, nodes)
    alive = out > 0
    number = int(alive.sum())
    if not number:
        return np.zeros(nodes)
    pairs, inverse = np.unique(ends * nodes + others, return_inverse=True)
    summed = np.bincount(inverse.reshape(-1), weight)
    start, goal = pairs // nodes, pairs % nodes
    share = summed / out[start]
    rank = alive / number
    for _ in range(_ROUNDS):
        fresh = _JUMP / number * alive + (1 - _JUMP) * np.bincount(goal, rank[start] * share, nodes)
        moved = float(np.abs(fresh - rank).sum())
        rank = fresh
        if moved < _CLOSE:
            break
    return np.asarray(rank, dtype=np.float64)


def _first_ties(sessions: Sessions, room: int) -> npt.NDArray[np.bool_]:
    """Per session (they lie in time order): whether account and destination had never met before."""
    _, first = np.unique(sessions.account * room + sessions.destination, return_index=True)
    new = np.zeros(len(sessions), dtype=bool)
    new[first] = True
    new &= sessions.start >= sessions.start[0] + _LEARNING_H * HOUR
    return new


def _ranks(
    kind: str,
    rank: Floats,
    names: list[str],
    sessions: Sessions,
    held: frozenset[str],
    ends: tuple[Ints, Ints],
    new: npt.NDArray[np.bool_],
) -> list[Rank]:
    nodes, partners = ends
    order = np.argsort(-rank, kind="stable")[:_SHOWN]
    out = []
    for place, node in enumerate(order.tolist(), 1):
        if rank[node] <= 0:
            break
        mine = np.flatnonzero((nodes == node) | (sessions.source == node if kind == "host" else False))
        met, fresh = len(np.unique(partners[mine])), int(new[mine].sum())
        ja = f"{'使ったアカウント' if kind == 'host' else '使った機器'}{met:,}、新しい組{fresh:,}"
        en = f"{met:,} {'accounts' if kind == 'host' else 'machines'}, {fresh:,} of the ties new"
        out.append(
            Rank(
                confidence="medium",
                records=sessions.first_refs(mine[:3]),
                kind=kind,
                name=names[node],
                place=place,
                score=round(float(rank[node]), 6),
                logons=int(sessions.count[mine].sum()),
                partners=met,
                new_partners=fresh,
                held=names[node] in held,
                says=Text(ja, en),
            )
        )
    return out


def _hours(rows: Rows, sessions: Sessions, new: npt.NDArray[np.bool_]) -> list[UnusualHour]:
    begin = int(sessions.start[0]) // HOUR
    failed = rows.time[rows.of("logon_failure")] // HOUR - begin
    hour = sessions.start // HOUR - begin
    span = int(hour.max()) + 1
    failed = failed[(failed >= 0) & (failed < span)]
    if span < 2 * _LEARNING_H:
        return []
    ties = np.bincount(hour[new], minlength=span).astype(float)
    failures = np.bincount(failed, minlength=span).astype(float)
    score = np.maximum(_deviation(ties, begin), _deviation(failures, begin))
    out = []
    for at in np.argsort(-score, kind="stable")[:_HOURS_SHOWN].tolist():
        if score[at] < _UNUSUAL:
            break
        members = np.flatnonzero((hour == at) & new)
        accounts, counts = np.unique(sessions.account[members], return_counts=True)
        top = [sessions.names()[a] for a in accounts[np.argsort(-counts, kind="stable")][:3].tolist()]
        out.append(
            UnusualHour(
                confidence="low",
                records=sessions.first_refs(members[:5]),
                time=when((begin + at) * HOUR),
                score=round(float(score[at]), 1),
                new_ties=int(ties[at]),
                failures=int(failures[at]),
                accounts=tuple(top),
            )
        )
    return sorted(out, key=lambda h: h.time)


def _deviation(values: Floats, begin: int) -> Floats:
    """How many median deviations above the usual for that hour of the day; five events at least stand out."""
    of_day = (np.arange(len(values)) + begin) % 24
    usual = np.array([float(np.median(values[of_day == h])) if (of_day == h).any() else 0.0 for h in range(24)])
    beyond = values - np.maximum(usual[of_day], float(np.median(values)))
    spread = max(1.4826 * float(np.median(np.abs(beyond))), 1.0)
    return np.asarray(np.where(values >= 5, beyond / spread, 0.0), dtype=np.float64)
