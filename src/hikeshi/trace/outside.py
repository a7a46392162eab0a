"""Which unique values of an Arrow text column are outside addresses or names: one answer a value, as arrays.

The same answers as `network.public` and `network.is_address` give for one text, for millions of
texts: addresses are told by their net, so that each net is looked up once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hikeshi.trace.network import is_address, public

Mask = npt.NDArray[np.bool_]
_INSIDE_SUFFIXES = (".local", ".lan", ".internal", ".intra", ".corp", ".home.arpa", ".in-addr.arpa", ".ip6.arpa")
_QUAD = r"^(0|[1-9][0-9]?[0-9]?)(\.(0|[1-9][0-9]?[0-9]?)){3}$"
# Inside these first octets some special nets are smaller than /16, here and in later Python versions.
_FINE = (192, 198, 203)


def public_values(values: pa.Array) -> Mask:
    """`public` of each text."""
    out = np.zeros(len(values), dtype=bool)
    quads, numbers = _quads(values)
    if len(quads):
        first = numbers >> 24
        exact = ((numbers >> 8) == 0xC00000) | (first == 255)
        shift = np.where(exact, 0, np.where(np.isin(first, _FINE), 8, 16))
        net = (numbers >> shift) << shift
        nets, inverse = np.unique(net * 32 + shift, return_inverse=True)
        said = np.array([public(_dotted(int(n) >> 5)) for n in nets.tolist()], dtype=bool)
        out[quads] = said[inverse.reshape(-1)]
    others = np.setdiff1d(_maybe_addresses(values), quads, assume_unique=True)
    out[others] = [public(v) for v in values.take(pa.array(others)).to_pylist()]
    return out


def address_values(values: pa.Array) -> Mask:
    """`is_address` of each text."""
    out = np.zeros(len(values), dtype=bool)
    quads, _ = _quads(values)
    out[quads] = True
    others = np.setdiff1d(_maybe_addresses(values), quads, assume_unique=True)
    out[others] = [is_address(v) for v in values.take(pa.array(others)).to_pylist()]
    return out


def outside_names(values: pa.Array, own_name: Callable[[str], bool], domains: frozenset[str]) -> Mask:
    """Whether a destination's name lies outside: a public address, or a full name that is not ours.

    `domains` are our own, lower case; `own_name` answers for one name.
    """
    out = np.asarray(pc.match_substring(values, ".").to_numpy(zero_copy_only=False), dtype=bool)
    for suffix in _INSIDE_SUFFIXES:
        out &= ~pc.ends_with(values, suffix).to_numpy(zero_copy_only=False)
    plain = pc.string_is_ascii(values).to_numpy(zero_copy_only=False)
    for domain in domains:
        out &= ~(plain & pc.ends_with(values, "." + domain, ignore_case=True).to_numpy(zero_copy_only=False))
    # Python's lower case of other scripts is the one our domains were written in.
    foreign = np.flatnonzero(out & ~plain)
    out[foreign] = [not own_name(v) for v in values.take(pa.array(foreign)).to_pylist()]
    addresses = np.flatnonzero(address_values(values))
    out[addresses] = public_values(values.take(pa.array(addresses)))
    return out


def _maybe_addresses(values: pa.Array) -> npt.NDArray[np.int64]:
    """Positions of texts that could be an address: of figures and points, or with a colon."""
    hit = pc.or_(pc.match_substring(values, ":"), pc.match_substring_regex(values, r"^[0-9.]+$"))
    return np.flatnonzero(hit.to_numpy(zero_copy_only=False)).astype(np.int64)


def _quads(values: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(positions of well-written IPv4 addresses, their numbers)."""
    at = np.flatnonzero(pc.match_substring_regex(values, _QUAD).to_numpy(zero_copy_only=False)).astype(np.int64)
    if not len(at):
        return at, at
    parts = pc.split_pattern(values.take(pa.array(at)), ".").flatten().cast(pa.int64()).to_numpy().reshape(-1, 4)
    fits = (parts <= 255).all(axis=1)
    parts = parts[fits]
    return at[fits], (parts[:, 0] << 24) | (parts[:, 1] << 16) | (parts[:, 2] << 8) | parts[:, 3]


def _dotted(number: int) -> str:
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
