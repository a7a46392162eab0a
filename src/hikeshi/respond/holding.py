"""What must not be blocked without a person saying so: held back and named, each with the reason.

Own addresses and names, private ranges, whole endings, public resolvers, content delivery networks, shared
hosting, very popular sites, and what many of the company's own machines use. A responder who has looked can
force a value; the reason is then written beside it.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from hikeshi.indicators import warning_lists
from hikeshi.indicators.names import INTERNAL, WORDS, top_level_domains
from hikeshi.model.text import Text
from hikeshi.respond.places import INSIDE, Places
from hikeshi.respond.plan import Plan
from hikeshi.respond.targets import Target, parents

_BROADEST = {4: 20, 6: 40}  # prefix length; shorter ones hold thousands of strangers
_LOOKED_AT = 256  # addresses of a network that are checked one by one


@dataclass(frozen=True, slots=True)
class Held:
    target: Target
    reasons: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Sorted:
    """`block` goes to the lists, `held` waits for a person; `cautions` and `forced` are values with reasons."""

    block: tuple[Target, ...] = ()
    held: tuple[Held, ...] = ()
    cautions: dict[str, tuple[Text, ...]] = field(default_factory=dict)
    forced: dict[str, tuple[Text, ...]] = field(default_factory=dict)


def sort_targets(
    targets: Iterable[Target], plan: Plan, *, force: Collection[str] = (), used_by: Mapping[str, Text] | None = None
) -> Sorted:
    """`force` are values to block whatever stands against them; `used_by` says of a value who else uses it.

    Private ranges, own networks and own names are never forced: that would cut the company off from itself.
    """
    block, held = [], []
    cautions: dict[str, tuple[Text, ...]] = {}
    forced: dict[str, tuple[Text, ...]] = {}
    for one in targets:
        firm = never(one, plan)
        soft = shared(one)
        if used_by and one.value in used_by:
            soft = (*soft, used_by[one.value])
        if firm or (soft and one.value not in force):
            held.append(Held(one, (*firm, *soft)))
            continue
        block.append(one)
        if soft:
            forced[one.value] = soft
        look = caution(one)
        if look:
            cautions[one.value] = look
    return Sorted(tuple(block), tuple(held), cautions, forced)


def never(one: Target, plan: Plan) -> tuple[Text, ...]:
    """Reasons that nobody can override here: our own, private, or everything at once."""
    out: list[Text] = []
    host = one.host or (one.value.rpartition("@")[2] if one.type == "email" else "")
    if one.type == "cidr":
        if INSIDE.overlaps(one.value):
            out.append(_PRIVATE)
        if plan.own.overlaps(one.value):
            out.append(_OWN)
        if plan.never_block.overlaps(one.value):
            out.append(_NEVER)
        return tuple(out)
    if one.type != "email" and INSIDE.of(host, host):
        out.append(_PRIVATE)
    if plan.own.of(host, host):
        out.append(_OWN)
    if plan.never_block.of(host, host) or (one.type == "domain" and _above(host, plan.never_block)):
        out.append(_NEVER)
    if one.type == "domain" and _above(host, plan.own):
        out.append(_OWN)
    if host and one.type in ("domain", "url") and host.rpartition(".")[2] in INTERNAL | {"arpa", "localhost"}:
        out.append(_PRIVATE)
    return tuple(dict.fromkeys(out))


def _above(name: str, places: Places) -> bool:
    """Whether a protected name lies below `name`: blocking the parent would block it too."""
    return any(known == name or known.endswith("." + name) for known in places.names())


def shared(one: Target) -> tuple[Text, ...]:
    """Reasons a person may override: many others use it."""
    if one.type in ("sha256", "url"):
        return ()  # exact: nobody else is hit
    if one.type == "email":
        return ()
    if one.type == "cidr":
        return _of_network(one.value)
    if one.type == "domain":
        if _is_ending(one.value):
            return (_ENDING,)
        return tuple(dict.fromkeys(reason for reason, _ in _of_name(one.value)))
    lists = set(warning_lists().of(one.type, one.value))
    return tuple(h.reason for h in _table()[0] if h.lists & lists)


def _is_ending(name: str) -> bool:
    """ "jp", "co.jp": nobody's name."""
    first, dot, last = name.partition(".")
    return not dot or (last in top_level_domains() and len(last) == 2 and first in WORDS["second_level"])


def _of_name(name: str) -> list[tuple[Text, str]]:
    marks = warning_lists()
    at = set(marks.of("domain", name))
    if name.startswith(("www.", "m.")):
        at |= set(marks.of("domain", name.partition(".")[2]))
    above = parents(name)
    below = set(marks.of("domain", above[0])) if above else set()
    out = []
    for hold in _table()[0]:
        hit = hold.lists & (at if hold.below else at - below)
        out += [(hold.reason, name) for name in sorted(hit)]
    return out


def _of_network(value: str) -> tuple[Text, ...]:
    net = ipaddress.ip_network(value)
    out: list[Text] = []
    if net.prefixlen < _BROADEST[net.version]:
        out.append(
            Text(f"範囲が広すぎます({net.num_addresses:,}個のアドレス)", f"too broad: {net.num_addresses:,} addresses")
        )
    marks, kind = warning_lists(), f"ipv{net.version}"
    lists = set(marks.of("cidr", value))
    step = max(1, net.num_addresses // _LOOKED_AT)
    first = int(net.network_address)
    for number in range(first, first + min(net.num_addresses, _LOOKED_AT * step), step):
        lists.update(marks.of(kind, str(type(net.network_address)(number))))
    return (*out, *(h.reason for h in _table()[0] if h.lists & lists))


def caution(one: Target) -> tuple[Text, ...]:
    """Blocked all the same; whoever loads the list should have read this."""
    out: list[Text] = []
    kind, value = (one.type, one.value) if one.type != "url" else ("domain", one.host)
    if one.type in ("ipv4", "ipv6", "domain", "cidr", "url"):
        lists = set(warning_lists().of(kind, value))
        out += [c.reason for c in _table()[1] if c.lists & lists]
    if one.type == "url" and one.value.startswith("https"):
        out.append(
            Text(
                "https の経路は、プロキシがTLSを復号する場合だけ止まります。ホストごと止めるか確かめてください",
                "an https path is stopped only where the proxy decrypts TLS; consider blocking the host",
            )
        )
    return tuple(out)


@dataclass(frozen=True, slots=True)
class _Row:
    reason: Text
    lists: frozenset[str]
    below: bool = False


@cache
def _table() -> tuple[tuple[_Row, ...], tuple[_Row, ...]]:
    tree = tomllib.loads((resources.files("hikeshi.respond") / "data" / "shared.toml").read_text("utf-8"))
    rows = {
        key: tuple(_Row(Text(**e["reason"]), frozenset(e["lists"]), e.get("below", False)) for e in tree[key])
        for key in ("hold", "caution")
    }
    return rows["hold"], rows["caution"]


_PRIVATE = Text("社内・予約済みの範囲です", "a private or reserved range or name")
_OWN = Text("自組織のドメイン・アドレスです", "your own domain or address")
_NEVER = Text("計画で「止めない」とされています", "your plan says: never block")
_ENDING = Text("名前の末尾(公開の上位ドメイン)です", "an ending under which everybody registers names")
