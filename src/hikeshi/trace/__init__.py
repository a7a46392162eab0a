"""The intrusion as far as the evidence tells it: how they came in, how far, what they took."""

from hikeshi.trace.digest import Digest, Gathered, digest
from hikeshi.trace.known import Known, read_known
from hikeshi.trace.places import Places, read_places
from hikeshi.trace.story import build_story
from hikeshi.trace.theft import Package

__all__ = ["Digest", "Gathered", "Known", "Package", "Places", "build_story", "digest", "read_known", "read_places"]
