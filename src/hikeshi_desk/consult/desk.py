"""What this desk says about itself: our texts, or the operator's from `desk.toml` in the data folder.

    [emergency]              # the one red line of a page; all four may be left out
    phone = "03-0000-0000"
    mail = "urgent@example.jp"
    ja = "夜間・休日もお電話ください。"
    en = "Call us, also at night."
    [does]                   # also: does_not, who, information, privacy; lists of lines in both languages
    ja = ["…"]
    en = ["…"]
    [name]                   # also: hours, cost; one text in both languages
    ja = "…"
    en = "…"
    [logo]                   # a PNG, JPEG or WebP of at most 200 KB in the data folder
    file = "logo.png"

Read once at start; a file that says something else stops the start with ImproperlyConfigured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import get_language

from hikeshi_desk import config
from hikeshi_desk.accounts.models import Organisation
from hikeshi_desk.accounts.texts import text

_LISTS = ("does", "does_not", "who", "information", "privacy")
_TEXTS = ("name", "hours", "cost")
_EMERGENCY = {"ja", "en", "phone", "mail"}
_LARGEST_LOGO = 200_000
# No SVG: it is a page with scripts, not a picture.
_PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


@dataclass(frozen=True)
class Desk:
    """The words in the reader's language."""

    name: str
    phone: str
    mail: str
    emergency: str
    hours: str
    cost: str
    does: tuple[str, ...]
    does_not: tuple[str, ...]
    who: tuple[str, ...]
    information: tuple[str, ...]
    privacy: tuple[str, ...]
    has_logo: bool

    @property
    def phone_link(self) -> str:
        return "tel:" + "".join(sign for sign in self.phone if sign.isdigit() or sign == "+")


@dataclass(frozen=True)
class Logo:
    content: bytes
    kind: str


def desk() -> Desk:
    """The desk as it introduces itself now."""
    told = told_by_operator()
    language = "en" if (get_language() or "ja").startswith("en") else "ja"
    emergency = told.get("emergency", {})
    lists = {name: tuple(told[name][language] if name in told else text(f"consult.desk.{name}").strip().splitlines())
             for name in _LISTS}
    texts = {name: told[name][language] if name in told else text(_DEFAULTS[name]) for name in _TEXTS}
    if "name" not in told:
        texts["name"] = _named_at_set_up(language) or texts["name"]
    return Desk(phone=emergency.get("phone") or config.table("oncall").get("phone", ""), mail=emergency.get("mail", ""),
                emergency=emergency.get(language) or text("consult.desk.emergency"), has_logo="logo" in told,
                **texts, **lists)


_DEFAULTS = {"name": "accounts.desk.name", "hours": "consult.desk.hours", "cost": "consult.desk.cost"}


def _named_at_set_up(language: str) -> str:
    """What the desk's first lead called it. Asked for once a minute, not for every page."""
    known = cache.get("desk-name")
    if known is None:
        known = Organisation.objects.filter(is_desk=True).order_by("pk").values_list("name", "name_en").first() or ()
        cache.set("desk-name", known, 60 if known else 1)
    return str((known[1] or known[0]) if language == "en" else known[0]) if known else ""


def pages_oncall() -> bool:
    """Is somebody called, also at night, when an urgent consultation comes in?"""
    return bool(config.table("oncall"))


def logo() -> Logo | None:
    """The operator's picture, None without one."""
    told = told_by_operator()
    return _read_logo(Path(settings.DATA) / told["logo"]["file"]) if "logo" in told else None


@once
def _read_logo(path: Path) -> Logo:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(f"desk.toml: [logo] {path.name}: {error.strerror}") from error
    kind = next((kind for magic, kind in _PICTURES.items() if content.startswith(magic)), "")
    if not kind or len(content) > _LARGEST_LOGO:
        raise ImproperlyConfigured(f"desk.toml: [logo] {path.name} is a PNG, JPEG or WebP of at most "
                                   f"{_LARGEST_LOGO:,} bytes")
    return Logo(content, kind)


def told_by_operator(path: Path | None = None) -> Mapping[str, Any]:
    """The operator's words, checked; empty when there are none."""
    path = path or Path(settings.DATA) / "desk.toml"
    told = {name: entry for name, entry in config.load(path).items()
            if name in (*_LISTS, *_TEXTS, "emergency", "logo")}
    for name, entry in told.items():
        _check(path, name, entry)
    return told


def _check(path: Path, name: str, entry: Any) -> None:
    if name == "logo":
        if not isinstance(entry, dict) or set(entry) != {"file"} or not isinstance(entry["file"], str) or \
                Path(entry["file"]).name != entry["file"]:
            raise ImproperlyConfigured(f"{path}: [logo] has exactly file, the name of a file beside desk.toml")
        _read_logo(path.parent / entry["file"])
        return
    wanted: type = list if name in _LISTS else str
    allowed = _EMERGENCY if name == "emergency" else {"ja", "en"}
    needed = set() if name == "emergency" else {"ja", "en"}
    if not isinstance(entry, dict) or not needed <= set(entry) <= allowed:
        raise ImproperlyConfigured(f"{path}: [{name}] has exactly {', '.join(sorted(allowed))}")
    for key, value in entry.items():
        lines = value if wanted is list and isinstance(value, list) else [value]
        if (wanted is list) != isinstance(value, list) or not all(isinstance(one, str) and one for one in lines):
            raise ImproperlyConfigured(f"{path}: {name}.{key} is {'a list of lines' if wanted is list else 'a text'}")
