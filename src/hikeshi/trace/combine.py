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


def combine_flows(parts: list[pa.Table]) -> pa.Table:
    """All flows with equal ones as one; the order is by group, not by time.

    `parts` is emptied: what has been taken over is let go at once, or the largest log would lie in
    memory three times.
    """
    table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
    parts.clear()
    if table.num_rows < 2:
        return table
    schema = table.schema
    columns = {n: table.column(n).chunk(0) for n in schema.names}
    del table
    key = _keys(columns)
    order = np.lexsort((_ints(columns["first_place"]), _ints(columns["first"]), key))
    starts = _starts(key, order)
    made: dict[str, pa.Array] = {}
    size, where = _ints(columns.pop("largest")), _ints(columns.pop("largest_place"))
    top = np.lexsort((-where, size, key))[np.append(starts[1:], len(order)) - 1]
    made["largest"], made["largest_place"] = pa.array(size[top]), pa.array(where[top])
    del key, size, where, top
    made["times"] = _times(columns.pop("times"), order, starts)
    for name in ("count", "bytes_out", "bytes_in"):
        made[name] = pa.array(np.add.reduceat(_ints(columns.pop(name))[order], starts))
    made["last"] = pa.array(np.maximum.reduceat(_ints(columns.pop("last"))[order], starts))
    head = pa.array(order[starts])
    for name in list(columns):
        made[name] = columns.pop(name).take(head)
    return pa.Table.from_arrays([made[n] for n in schema.names], schema=schema)


def _ints(array: pa.Array) -> Ints:
    out: Ints = array.to_numpy(zero_copy_only=False)
    return out


def _starts(key: Ints, order: Ints) -> Ints:
    """Where each group of equal keys begins in this order."""
    sorted_keys = key[order]
    new = np.ones(len(sorted_keys), dtype=bool)
    np.not_equal(sorted_keys[1:], sorted_keys[:-1], out=new[1:])
    return np.flatnonzero(new).astype(np.int64)


def _keys(columns: dict[str, pa.Array]) -> Ints:
    """One number a row, equal for flows that are one."""
    kind = columns["kind"]
    firewall = np.array([k == "firewall" for k in kind.dictionary.to_pylist()] + [False])
    hours = np.where(firewall[kind.indices.fill_null(-1).to_numpy()], _ints(columns["first"]) // HOUR, -1)
    hours -= hours.min()
    key = hours * 2 + columns["lines"].to_numpy(zero_copy_only=False)
    size = int(key.max()) + 1
    for name in _KEYS:
        column = columns[name]
        room = len(column.dictionary) + 1
        if size * room >= 2**62:
            unique, key = np.unique(key, return_inverse=True)
            key, size = key.reshape(-1).astype(np.int64), len(unique)
        key = key * room + (column.indices.fill_null(-1).to_numpy() + 1)
        size *= room
    out: Ints = key
    return out


def _times(lists: pa.ListArray, order: Ints, starts: Ints) -> pa.ListArray:
    """The seconds of each group: sorted, distinct, the earliest."""
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
