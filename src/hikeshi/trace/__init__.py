"""The intrusion story: from events to entry, spread, exfiltration and what to do.

digest(source, table) runs in the parsing child and keeps what matters; build_story joins
all digests in the parent.
"""

from hikeshi.trace.digest import Digest, Gathered, digest
from hikeshi.trace.story import build_story

__all__ = ["Digest", "Gathered", "build_story", "digest"]
