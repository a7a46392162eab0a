"""Sends a pack to a desk in parts, and remembers how far it got: a broken line and a killed program cost nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hikeshi.errors import OutputError, RemoteError
from hikeshi.remote.desk import Declined, Desk, Unreachable
from hikeshi.remote.pack import Pack

PART = 16 << 20
TRIES = 8  # in a row without any progress
_LONGEST_PAUSE_S = 30.0
Advance = Callable[[int], None]


@dataclass
class State:
    """What a second start needs. The key and the id open the upload only; the receipt code is never written."""

    sha256: str
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32))  # of the consultation: sent twice, it is one
    upload: str = ""
    upload_key: str = ""


class StateFile:
    """The state on the disk, for its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> State | None:
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
            known = {one.name for one in fields(State)}
            return State(**{name: str(value) for name, value in told.items() if name in known})
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def save(self, state: State) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
                json.dump(asdict(state), out)
                out.flush()
                os.fsync(out.fileno())
            new.replace(self.path)
        except OSError as error:
            raise OutputError(f"can't remember how far it got: {error.strerror}",
                              hint="--state takes a file in a folder you may write to") from error

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()


def state_place(sources: list[Path], to: str) -> Path:
    """Where the state of this very sending lies: the same command finds it again."""
    told = "\0".join([to, *sorted(str(source.resolve()) for source in sources)])
    digest = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
    return Path.home() / ".hikeshi" / f"submit-{digest[:16]}.json"


def send(desk: Desk, pack: Pack, name: str, said: Mapping[str, Any], *, code: str, state: State, file: StateFile,
         advance: Advance = lambda done: None, pause: Callable[[float], None] = time.sleep) -> dict[str, Any]:
    """Uploads what is missing, then sends the consultation, or the follow-up of `code`. Gives the desk's answer.

    Raises RemoteError when the desk refuses or stays out of reach; the state is kept then.
    """
    upload(desk, pack, state, file, advance, pause)
    body = dict(said) | {"uploads": [{"id": state.upload, "key": state.upload_key, "name": name}]}
    headers = {"Idempotency_Key": state.key} | ({"Receipt_Code": code} if code else {})
    answer = _patiently(lambda: desk.ask("POST", "/thread" if code else "/consultations", body, **headers), pause)
    file.forget()
    return answer


def upload(desk: Desk, pack: Pack, state: State, file: StateFile, advance: Advance,
           pause: Callable[[float], None]) -> None:
    """Every byte of the pack is on the desk's disk when this returns."""
    told = _known(desk, state, pause)
    if told is None:
        told = _patiently(lambda: desk.ask("POST", "/uploads", {"size": pack.size, "sha256": pack.sha256}), pause)
        state.upload, state.upload_key = str(told["id"]), str(told["key"])
        file.save(state)
    offset, most = int(told["offset"]), min(PART, int(told.get("part_bytes", PART)))
    place, opener = f"/uploads/{state.upload}", state.upload_key
    if told.get("finished"):
        advance(pack.size)
        return
    failed = 0
    while offset < pack.size:
        advance(offset)
        length = min(most, pack.size - offset)
        try:
            told = desk.put_bytes("PATCH", place, pack.read(offset, length), length,
                                  Upload_Key=opener, Upload_Offset=str(offset))
            failed = 0
        except (Unreachable, Declined) as error:
            failed += 1
            if failed >= TRIES or not _may_help(error):
                raise
            pause(min(2.0 ** failed, _LONGEST_PAUSE_S))
            told = _patiently(lambda: desk.ask("GET", place, Upload_Key=opener), pause)
            failed = 0 if int(told["offset"]) > offset else failed
        offset = int(told["offset"])
    advance(pack.size)
    _patiently(lambda: desk.ask("POST", f"{place}/finish", Upload_Key=opener), pause)


def _known(desk: Desk, state: State, pause: Callable[[float], None]) -> dict[str, Any] | None:
    if not state.upload:
        return None
    try:
        return _patiently(lambda: desk.ask("GET", f"/uploads/{state.upload}", Upload_Key=state.upload_key), pause)
    except Declined as error:
        if error.status == 404:  # swept after seven days: begin again
            return None
        raise


def _patiently(ask: Callable[[], dict[str, Any]], pause: Callable[[float], None]) -> dict[str, Any]:
    for tried in range(1, TRIES):
        try:
            return ask()
        except (Unreachable, Declined) as error:
            if not _may_help(error):
                raise
            pause(min(2.0 ** tried, _LONGEST_PAUSE_S))
    return ask()


def _may_help(error: RemoteError) -> bool:
    """Is trying again sensible? After a broken line, a wrong offset, a busy or overloaded desk; not after "no"."""
    return isinstance(error, Unreachable) or (isinstance(error, Declined) and (
        error.status in (429, 502, 503, 504) or str(error.problem.get("type", "")).endswith(("#offset", "#busy"))))
