"""Hikeshi: first response to cyber incidents, from a folder of evidence to the story."""

__version__ = "0.1.0"
