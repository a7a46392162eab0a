"""The victim's own facts: who decides on a full cut-off, by which criteria, what must never be blocked, and how people
are reached when mail is down. Kept under the keys of hikeshi.respond.plan, which also judges them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hikeshi.errors import InputError
from hikeshi.respond.plan import Plan, plan_of
from hikeshi_desk.cases.acting import Refused

LISTS = ("deputies", "own_domains", "own_networks", "never_block", "domain_controllers")
WORDS = ("decider", "criteria")
_MOST_LINES, _LONGEST = 500, 200
_MAIL = re.compile(r"^\S+@\S+$")


def read(tree: Mapping[str, Any]) -> Plan:
    """As the library knows it; a kept plan was judged when it was written."""
    return plan_of(dict(tree))


def of_form(form: Mapping[str, str]) -> dict[str, Any]:
    """The table that a form's fields give: lists by line, contacts as "name, number". Refused where a line is wrong."""
    tree: dict[str, Any] = {name: _line(form.get(name, ""))[:_LONGEST * 5] for name in WORDS}
    tree |= {name: _lines(form.get(name, "")) for name in LISTS}
    tree["contact"] = [_contact(line) for line in _lines(form.get("contacts", ""))]
    tree = {name: value for name, value in tree.items() if value}
    try:
        plan_of(tree)
    except InputError as error:
        raise Refused("respond.refused.plan") from error
    return tree


def as_form(tree: Mapping[str, Any]) -> dict[str, str]:
    return {**{name: str(tree.get(name, "")) for name in WORDS},
            **{name: "\n".join(tree.get(name, [])) for name in LISTS},
            "contacts": "\n".join(f"{one['name']}, {one['by']}" for one in tree.get("contact", []))}


def deciders(tree: Mapping[str, Any]) -> list[str]:
    """Who may decide, in the plan's order."""
    return [name for name in (tree.get("decider", ""), *tree.get("deputies", [])) if name]


def contacts(tree: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    found: Sequence[Mapping[str, str]] = tree.get("contact", [])
    return found


def _contact(line: str) -> dict[str, str]:
    name, comma, by = re.sub("[，、]", ",", line).rpartition(",")
    name, by = name.strip(), by.strip()
    if not comma or not name or not by:
        raise Refused("respond.refused.contact")
    if _MAIL.match(by):
        # The list is for the hour when mail is off or read by the attacker.
        raise Refused("respond.refused.contact_mail")
    return {"name": name[:_LONGEST], "by": by[:_LONGEST]}


def _lines(given: str) -> list[str]:
    found = [line for line in (_line(one) for one in given.splitlines()) if line]
    if len(found) > _MOST_LINES or any(len(line) > 2 * _LONGEST for line in found):
        raise Refused("respond.refused.too_many")
    return list(dict.fromkeys(found))


def _line(given: str) -> str:
    return " ".join(given.replace("\0", "").split())
