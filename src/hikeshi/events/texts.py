"""Unique texts of a column that are decoded only where somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt


class Texts(Sequence[str]):
    """Reads like a list of texts. `decode` gives some of them by number (None: all); `empty` is the number of
    the empty text, or -1.

    What `decode` needs lasts as long as the reader says, see `EvtxBatch`.
    """

    __slots__ = ("_all", "_count", "_decode", "empty")

    def __init__(self, count: int, decode: Callable[[npt.NDArray[np.int64] | None], list[str]], empty: int) -> None:
        self._count, self._decode, self.empty = count, decode, empty
        self._all: list[str] | None = None

    def whole(self) -> list[str]:
        if self._all is None:
            self._all = self._decode(None)
        return self._all

    def take(self, numbers: npt.NDArray[np.int64]) -> list[str]:
        """The texts with these numbers."""
        if self._all is None:
            return self._decode(numbers)
        return [self._all[n] for n in numbers.tolist()]

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: Any) -> Any:
        return self.whole()[index]
