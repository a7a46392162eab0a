"""Equal flows of several batches of one file as one row each.

Count and bytes are added up; the first record and the largest upload keep their places, the
first by time, then by place. Times (seconds) become distinct, the earliest 65,536 stay.
Combining in steps gives the same as combining at once.

Flows of a firewall join only when they begin in the same hour: a proxy hides its clients from
the firewall, and only the time tells later which client a flow was for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hikeshi.trace.rows import HOUR

Ints = npt.NDArray[np.int64]
_TIMES_KEPT = 65_536
_KEYS = ("kind", "observer", "client", "user", "destination", "ip", "port", "program", "path", "sha256")


def combine_flows(table: pa.Table) -> pa.Table:
    """The flows with equal ones as one; the order is by group, not by time."""
    table = table.unify_dictionaries().combine_chunks()
    if table.num_rows < 2:
        return table
    key = _keys(table)
    first, place = _ints(table, "first"), _ints(table, "first_place")
    order = np.lexsort((place, first, key))
    starts = _starts(key[order])
    head = order[starts]
    bounds = np.append(starts, len(order))
    made: dict[str, pa.Array] = {n: table.column(n).chunk(0).take(pa.array(head)) for n in (*_KEYS, "lines")}
    for name in ("count", "bytes_out", "bytes_in"):
        made[name] = pa.array(np.add.reduceat(_ints(table, name)[order], starts))
    made["last"] = pa.array(np.maximum.reduceat(_ints(table, "last")[order], starts))
    made["first"], made["first_place"] = pa.array(first[head]), pa.array(place[head])
    size, where = _ints(table, "largest"), _ints(table, "largest_place")
    top = np.lexsort((-where, size, key))[bounds[1:] - 1]
    made["largest"], made["largest_place"] = pa.array(size[top]), pa.array(where[top])
    made["times"] = _times(table, order, starts)
    return pa.Table.from_arrays([made[n] for n in table.schema.names], schema=table.schema)


def _ints(table: pa.Table, name: str) -> Ints:
    out: Ints = table.column(name).to_numpy()
    return out


def _starts(sorted_keys: Ints) -> Ints:
    new = np.ones(len(sorted_keys), dtype=bool)
    np.not_equal(sorted_keys[1:], sorted_keys[:-1], out=new[1:])
    return np.flatnonzero(new).astype(np.int64)


def _keys(table: pa.Table) -> Ints:
    """One number a row, equal for flows that are one."""
    kind = table.column("kind").chunk(0)
    firewall = np.array([k == "firewall" for k in kind.dictionary.to_pylist()] + [False])
    hours = np.where(firewall[kind.indices.fill_null(-1).to_numpy()], _ints(table, "first") // HOUR, -1)
    hours -= hours.min()
    key = hours * 2 + table.column("lines").to_numpy()
    size = int(key.max()) + 1
    for name in _KEYS:
        column = table.column(name).chunk(0)
        room = len(column.dictionary) + 1
        if size * room >= 2**62:
            unique, key = np.unique(key, return_inverse=True)
            key, size = key.reshape(-1).astype(np.int64), len(unique)
        key = key * room + (column.indices.fill_null(-1).to_numpy() + 1)
        size *= room
    out: Ints = key
    return out


def _times(table: pa.Table, order: Ints, starts: Ints) -> pa.Array:
    """The seconds of each group: sorted, distinct, the earliest."""
    lists = table.column("times").chunk(0)
    sizes = np.diff(lists.offsets.to_numpy())
    group_of_row = np.empty(len(order), dtype=np.int64)
    group_of_row[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    seconds = lists.flatten().to_numpy()
    group = np.repeat(group_of_row, sizes)
    by_time = np.lexsort((seconds, group))
    seconds, group = seconds[by_time], group[by_time]
    new = np.ones(len(seconds), dtype=bool)
    if len(seconds):
        new[1:] = (seconds[1:] != seconds[:-1]) | (group[1:] != group[:-1])
    seconds, group = seconds[new], group[new]
    begin = np.searchsorted(group, np.arange(len(starts) + 1))
    counts = np.diff(begin)
    if (counts > _TIMES_KEPT).any():
        kept = np.arange(len(group)) - begin[group] < _TIMES_KEPT
        seconds, counts = seconds[kept], np.minimum(counts, _TIMES_KEPT)
    offsets = np.zeros(len(starts) + 1, dtype=np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(seconds))
