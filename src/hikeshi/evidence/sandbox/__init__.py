"""Parsing in limited child processes, so that hostile bytes can hurt nothing but their own task.

pool.py   run(): many tasks over a few long-lived children; a dying child loses one task
nursery.py  children forked from one that is set up already
child.py  what runs on the other side: set up, lock down, serve
locks.py  the locks: limits, no network, no programs, only the named folders
wire.py   frames on the pipe, and the reader that makes data of them and never code
"""

from hikeshi.evidence.sandbox.locks import Protection, protection
from hikeshi.evidence.sandbox.pool import Limits, Outcome, Task, run, usable_cores

__all__ = ["Limits", "Outcome", "Protection", "Task", "protection", "run", "usable_cores"]
