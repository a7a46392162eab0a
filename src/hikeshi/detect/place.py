"""Which rows of a table a log source speaks of.

A spec is a set of channels and a set of event ids, either empty for any. A channel that begins with
"#" is no Windows channel but a dataset (`event.dataset`) of rows that have none: "#squid.access", or
"#fortinet.*" for all that begin so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from hikeshi.detect.columns import Columns
from hikeshi.events.table import EventTable, Rows

Mask = npt.NDArray[np.bool_]
Spec = tuple[Collection[str], Collection[str]]


class Places:
    """Each row's combination of channel (or dataset) and event id, and which specs that fits.

    `of_row`: number of the combination per row; `fits`: one line a spec, one column a combination.
    """

    def __init__(self, columns: Columns, row_count: int, specs: Sequence[Spec]) -> None:
        logs, names = _logs(columns, row_count)
        code = columns.view("@event.code")
        width = 1 + (len(code.values) if code else 0)
        joint = logs.astype(np.int64) * width
        if code is not None:
            joint += code.dense + 1
        unique, self.of_row = np.unique(joint, return_inverse=True)
        found = [(names[u // width], code.values[u % width - 1] if code and u % width else "")
                 for u in unique.tolist()]
        self.fits: Mask = np.array([[_fits(channels, log) and (not codes or number in codes) for log, number in found]
                                    for channels, codes in specs], dtype=np.bool_).reshape(len(specs), len(found))

    def rows_of(self, spec: int, rows: Rows) -> Mask:
        """For each of the rows, whether it is of the spec's log source."""
        mask: Mask = self.fits[spec][self.of_row[rows]]
        return mask


def spoken_of(table: EventTable, specs: Sequence[Spec]) -> int:
    """How many rows some spec fits."""
    places = Places(Columns(table), table.row_count, specs)
    fits: Mask = np.logical_or.reduce(places.fits, axis=0)
    return int(fits[places.of_row].sum())


def _logs(columns: Columns, row_count: int) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Per row a number, and what it means: the channel in lower case, "#" and the dataset, or ""."""
    channel, dataset = columns.view("@winlog.channel"), columns.view("@event.dataset")
    out = np.zeros(row_count, dtype=np.int32)
    names = [""]
    if channel is not None:
        out = channel.dense + 1
        names += [v.lower() for v in channel.values]
    if dataset is not None:
        free = (out == 0) & (dataset.dense >= 0)
        if free.any():
            out = np.where(free, dataset.dense + len(names), out)
            names += [f"#{v.lower()}" for v in dataset.values]
    return out, names


def _fits(channels: Collection[str], log: str) -> bool:
    if log[:1] != "#":
        return not channels or log in channels
    return log in channels or any(c[-1:] == "*" and c[:1] == "#" and log.startswith(c[:-1]) for c in channels)
