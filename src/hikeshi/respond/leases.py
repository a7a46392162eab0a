"""Which machine had an address when: DHCP leases from the events, as spans.

A lease runs from its first acknowledgement until the address goes to another machine, is released or expires,
at the latest LONGEST after the last acknowledgement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONGEST = 8 * 86_400 * 1_000_000  # Windows' usual lease, in microseconds
_ENDS = ("release", "expire", "delete", "decline", "nak", "free", "abandon", "12", "16", "17", "18", "15")
_STARTS = ("ack", "assign", "renew", "new", "lease", "bind", "active", "extend", "10", "11", "grant", "offer")


@dataclass(frozen=True, slots=True)
class Span:
    """`host` has `address` from `start` until `end` (UTC microseconds, `end` excluded)."""

    address: str
    start: int
    end: int
    host: str


def spans(rows: Iterable[tuple[str, int, str, str]]) -> Iterator[Span]:
    """From (address, time, action, host), sorted by address and time. Rows that are neither the start nor the
    end of a lease (a request, a DNS update) are passed over."""
    held: Span | None = None
    last = 0
    for address, time, action, host in rows:
        word = action.lower()
        ends = any(word == e or (len(e) > 2 and e in word) for e in _ENDS)
        starts = not ends and bool(host) and (not word or any(
            word == s or (len(s) > 2 and s in word) for s in _STARTS))
        if held is not None and held.address != address:
            yield _closed(held, last + LONGEST)
            held = None
        if not (starts or ends):
            continue
        over = held is not None and (ends or held.host != host or time > last + LONGEST)
        # A release by a machine that doesn't hold the address ends nothing.
        if held is not None and over and (not ends or host in ("", held.host)):
            yield _closed(held, min(time, last + LONGEST))
            held = None
        if starts:
            held = held or Span(address, time, time, host)
            last = time
    if held is not None:
        yield _closed(held, last + LONGEST)


def _closed(span: Span, end: int) -> Span:
    return Span(span.address, span.start, max(end, span.start + 1), span.host)
