"""What the sandbox runs for words and names: one look at each, with knowledge loaded beforehand."""

from __future__ import annotations

from collections.abc import Sequence

from hikeshi.identify import Examined, Input
from hikeshi.identify.engine import examine_input
from hikeshi.knowledge.families import Families


def look(families: Families, inputs: Sequence[Input]) -> list[Examined]:
    """One answer for each input, in order."""
    return [examine_input(one, families) for one in inputs]
