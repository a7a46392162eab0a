"""The seam to mail: accounts send a few words to a person's own address, and know no mail.

The mail app says in its `ready()` how: `outbox.carry(send, is_ready)`. `send(to, subject, body)` hands the message
over or raises; `is_ready()` says whether the operator set mail up. Until then pages say to ask a lead.
"""

from __future__ import annotations

from collections.abc import Callable

Send = Callable[[str, str, str], None]
_send: Send | None = None
_is_ready: Callable[[], bool] = lambda: False  # noqa: E731


def carry(send: Send, is_ready: Callable[[], bool]) -> None:
    """Called once, by the app that has mail."""
    global _send, _is_ready
    _send, _is_ready = send, is_ready


def is_set_up() -> bool:
    return _send is not None and _is_ready()


def send(to: str, subject: str, body: str) -> None:
    if _send is None:
        raise RuntimeError("no mail: outbox.carry was not called")
    _send(to, subject, body)
