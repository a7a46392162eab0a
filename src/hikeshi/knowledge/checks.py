"""Articles on finding an infection with the tools of Windows itself (data/checks.toml): commands that only read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hikeshi.knowledge.dates import check_span
from hikeshi.knowledge.load import DATA, Record, load_records
from hikeshi.model.text import Text

_TABLE = re.compile(r"@\{[^{}()$]*\}")  # PowerShell's @{name=value; name=value}: values only, nothing that runs
_SHELLS = ("cmd", "powershell")
# What changes a machine has no place in an article: verbs, switches, writing to files, fetching, a second command.
_CHANGES = re.compile(
    r"\b(?:set|new|remove|clear|stop|start|restart|invoke|add|enable|disable|rename|move|copy|out|export|import)-\w"
    r"|[>&;`]|\b(?:del|erase|rd|format [a-z]|taskkill|shutdown|wevtutil|wmic|iex|iwr|curl|certutil|bitsadmin)\b"
    r"|/(?:delete|add|create|change|end|run|flushdns)\b|\breg (?!query\b)|\bvssadmin (?!list\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    shell: str
    run: str


@dataclass(frozen=True, slots=True)
class Check:
    """One article; `status` is the day somebody ran it on the versions of Windows in use, or "unverified"."""

    id: str
    title: Text
    why: Text
    commands: tuple[Command, ...]
    look_for: tuple[Text, ...]
    techniques: tuple[str, ...]
    written_on: str
    status: str


@cache
def load_checks(path: Path = DATA / "checks.toml") -> dict[str, Check]:
    """Articles by id, in the file's order. Raises KnowledgeError, also for a command that changes something."""
    found: dict[str, Check] = {}
    for record in load_records(path, "check"):
        one = Check(record.string("id"), record.text("title"), record.text("why"),
                    tuple(map(_command, record.records("command"))), record.texts("look_for"),
                    record.strings("techniques"), record.string("written_on"), record.string("status"))
        for value in (one.written_on, *([] if one.status == "unverified" else [one.status])):
            if (wrong := check_span(value, value)) is not None:
                raise record.error(wrong)
        if one.id in found or not (one.commands and one.look_for):
            raise record.error(f"'{one.id}' stands twice, or has no command or nothing to look for")
        record.finish()
        found[one.id] = one
    return found


def _command(record: Record) -> Command:
    one = Command(record.string("shell"), record.string("run"))
    if one.shell not in _SHELLS or _CHANGES.search(_TABLE.sub("", one.run)):
        raise record.error(f"'{one.run}' is no command that only reads", hint=f"shell is one of {', '.join(_SHELLS)}")
    record.finish()
    return one
