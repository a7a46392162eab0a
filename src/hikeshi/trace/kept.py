"""Windows records that are kept as they are: kept.toml, checked and as handlers.

`address`, `name` and `person` say what the fields mean, for windows.py too.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa

from hikeshi.errors import KnowledgeError
from hikeshi.events.table import Column
from hikeshi.trace.slices import TEXTS, Collector, Slice, first_of, mapped, matches

Handler = Callable[[Collector, Slice], "pa.Table | None"]
_OWN_ACCOUNTS = re.compile(
    r"(?:system|local service|network service|anonymous logon|iusr|window manager|-|dwm-\d+|umfd-\d+|"
    r"font driver host)?\Z",
    re.I,
)
_LOCAL_ADDRESS = re.compile(r"(?:-|local|localhost|127\.[\d.]+|::1|0\.0\.0\.0|::)?\Z", re.I)
_MAPPED = re.compile(r"::ffff:(\d+\.\d+\.\d+\.\d+)\Z", re.I)
_CLIENT = re.compile(r"\[CLIENT: ([^\]\s]{1,64})\]", re.I)
_PRIVILEGED = re.compile(
    r"(?:domain|enterprise|schema|group policy|dns)\s?admins|administrators|(?:backup|account|server|print) operators|"
    r"organization management|.*管理者",
    re.I,
)


def address(text: str) -> str | None:
    """An IP address as other logs write it; None for this machine itself or nothing."""
    text = text.strip().strip("\\")
    match = _MAPPED.match(text)
    if match:
        text = match[1]
    return None if _LOCAL_ADDRESS.match(text) else text.split("%")[0].lower()


def name(text: str) -> str | None:
    text = text.strip().strip("\\")
    return None if text in ("", "-", "LOCAL") else text


def person(text: str) -> bool:
    return not _OWN_ACCOUNTS.match(text)


def client(text: str) -> str | None:
    """The address in SQL Server's "[CLIENT: 192.0.2.1]"."""
    match = _CLIENT.search(text[:4000])
    return address(match[1]) if match and match[1][:1] != "<" else None


_CHANGES: dict[str, Callable[[str], str | None]] = {
    "address": address,
    "name": name,
    "lower": str.lower,
    "client": client,
    "first": lambda t: name(t.split("\n")[0]),
    "account": lambda u: u.rsplit("\\", 1)[-1],
    "domain": lambda u: u.split("\\")[0] if "\\" in u else None,
    "member": lambda m: name(re.sub(r"(?i)^cn=([^,]+),.*", r"\1", m)),
    "privileged": lambda g: "privileged_group" if _PRIVILEGED.fullmatch(g) else None,
}
_TESTS: dict[str, Callable[[str], bool]] = {
    "person": person,
    "human": lambda a: person(a) and not a.endswith("$"),
    "elsewhere": lambda t: t.lower() not in ("localhost", "-", ""),
    "away": lambda a: address(a) is not None,
    "client": lambda t: client(t) is not None,
    "policy": lambda c: c.lower() == "grouppolicycontainer",
    "present": lambda a: True,
    "refused": lambda s: s.lower() not in ("0x0", "0"),
}
_TRUE_WHERE_NULL = frozenset(("refused",))  # a record without a status was refused


def _keep(entry: dict[str, Any], out: Collector, rows: Slice) -> None:
    mask = np.ones(len(rows), dtype=bool)
    for need in entry["need"]:
        fields, test = need.rsplit(" ", 1)
        column = rows.col(*fields.split(","))
        hit = matches(column, _TESTS[test])
        mask &= hit | (column.codes < 0) if test in _TRUE_WHERE_NULL else hit
    part = rows.keep(mask)
    columns = {n: _column(part, said) for n, said in entry["columns"].items()}
    out.add(entry["kind"], part, bucket_s=entry["bucket_s"], **columns)


def _column(rows: Slice, said: str) -> Column | str:
    if said.startswith("= "):
        return said[2:]
    fields, _, change = said.partition(" > ")
    found = [rows.col(f) for f in fields.split(", ")]
    column = found[0] if len(found) == 1 else first_of(found)
    return mapped(column, _CHANGES[change]) if change else column


def _load() -> dict[str, Handler]:
    """Handlers by "channel|code"; raises KnowledgeError for an unknown column, change or test."""
    raw = tomllib.loads(files(__package__).joinpath("kept.toml").read_text("utf-8"))
    out: dict[str, Handler] = {}
    for given in raw["keep"]:
        columns = {n: v for n, v in given.items() if n not in ("channel", "codes", "kind", "need", "bucket_s")}
        needs = given.get("need", [])
        wrong = [n for n in columns if n not in TEXTS]
        wrong += [v for v in columns.values() if " > " in v and v.split(" > ")[1] not in _CHANGES]
        wrong += [n for n in needs if n.rsplit(" ", 1)[-1] not in _TESTS]
        if wrong:
            raise KnowledgeError(f"kept.toml, {given['kind']}: {', '.join(wrong)} is not known")
        entry = {"kind": given["kind"], "need": needs, "bucket_s": given.get("bucket_s"), "columns": columns}
        for code in given["codes"]:
            out[f"{given['channel']}|{code}"] = partial(_keep, entry)
    return out


KEPT = _load()
