"""What this desk says about itself: our texts, or the operator's from `desk.toml` in the data folder.

    [emergency]              # the one red line of a page
    phone = "03-0000-0000"
    ja = "夜間・休日もお電話ください。"
    en = "Call us, also at night."
    [does]                   # also: does_not, who, information; lists of lines in both languages
    ja = ["…"]
    en = ["…"]
    [name]
    ja = "…"
    en = "…"

Read once at start; a file that says something else stops the start with ImproperlyConfigured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import get_language

from hikeshi_desk import config
from hikeshi_desk.accounts.texts import text

_LISTS = ("does", "does_not", "who", "information")


@dataclass(frozen=True)
class Desk:
    """The words in the reader's language."""

    name: str
    phone: str
    emergency: str
    does: tuple[str, ...]
    does_not: tuple[str, ...]
    who: tuple[str, ...]
    information: tuple[str, ...]

    @property
    def phone_link(self) -> str:
        return "tel:" + "".join(sign for sign in self.phone if sign.isdigit() or sign == "+")


def desk() -> Desk:
    """The desk as it introduces itself now."""
    told = told_by_operator()
    language = "en" if (get_language() or "ja").startswith("en") else "ja"
    emergency = told.get("emergency", {})
    lists = {name: tuple(told[name][language] if name in told else text(f"consult.desk.{name}").strip().splitlines())
             for name in _LISTS}
    return Desk(name=told["name"][language] if "name" in told else text("accounts.desk.name"),
                phone=emergency.get("phone", ""), emergency=emergency.get(language) or text("consult.desk.emergency"),
                **lists)


def told_by_operator(path: Path | None = None) -> Mapping[str, Any]:
    """The operator's words, checked; empty when there are none."""
    path = path or Path(settings.DATA) / "desk.toml"
    told = {name: entry for name, entry in config.load(path).items() if name in (*_LISTS, "name", "emergency")}
    for name, entry in told.items():
        _check(path, name, entry)
    return told


def _check(path: Path, name: str, entry: Any) -> None:
    wanted: type = list if name in _LISTS else str
    allowed = {"ja", "en", "phone"} if name == "emergency" else {"ja", "en"}
    needed = set() if name == "emergency" else {"ja", "en"}
    if not isinstance(entry, dict) or not needed <= set(entry) <= allowed:
        raise ImproperlyConfigured(f"{path}: [{name}] has exactly {', '.join(sorted(allowed))}")
    for key, value in entry.items():
        lines = value if wanted is list and isinstance(value, list) else [value]
        if (wanted is list) != isinstance(value, list) or not all(isinstance(one, str) and one for one in lines):
            raise ImproperlyConfigured(f"{path}: {name}.{key} is {'a list of lines' if wanted is list else 'a text'}")
