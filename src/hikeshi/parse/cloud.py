"""JSON records whose maker is known by their names: which module reads which.

A record is asked once, in this order; what none owns is read by the general names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hikeshi.parse import azure, cloudtrail, entra, m365, paloalto_json, zeek, zscaler
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.syslog import Header


class Maker(NamedTuple):
    name: str
    owns: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Context], Event]


MAKERS = (
    Maker("m365", m365.owns, m365.read),
    Maker("entra", entra.owns, entra.read),
    Maker("azure-activity", azure.owns, azure.read),
    Maker("cloudtrail", cloudtrail.owns, cloudtrail.read),
    Maker("zscaler", zscaler.owns, zscaler.read),
    Maker("paloalto-json", paloalto_json.owns, paloalto_json.read),
    Maker("zeek-json", zeek.owns, zeek.read),
)


def maker_of(value: Any) -> Maker | None:
    """Who wrote this record; None if none of ours did."""
    if not isinstance(value, Mapping):
        return None
    return next((maker for maker in MAKERS if maker.owns(value)), None)


def read(value: Mapping[str, Any], header: Header | None, context: Context) -> Event | None:
    maker = maker_of(value)
    return with_header(maker.read(value, context), header, context) if maker is not None else None
