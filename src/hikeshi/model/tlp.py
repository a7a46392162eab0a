"""Traffic Light Protocol 2.0 labels, least to most closed."""

from __future__ import annotations

from enum import StrEnum


class Tlp(StrEnum):
    CLEAR = "TLP:CLEAR"
    GREEN = "TLP:GREEN"
    AMBER = "TLP:AMBER"
    AMBER_STRICT = "TLP:AMBER+STRICT"
    RED = "TLP:RED"
