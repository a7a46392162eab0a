"""The intrusion story: from events to entry, spread, exfiltration and what to do.

digest(source, table) runs in the parsing child and keeps what matters; build_story joins
all digests in the parent.
"""

from hikeshi.trace.digest import Digest, digest

__all__ = ["Digest", "digest"]
