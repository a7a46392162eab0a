"""What to do about it: cut the attacker off, know the price before, prove it after; and the clocks of answers.

result.py      a finished triage, as containment reads it
targets.py     what is to be blocked, and where it can be
plan.py        the company's own facts: what stays open, when, who decides (TOML)
places.py      names, addresses and networks, looked up at once
holding.py     what must not be blocked without a person saying so
devices/       block lists ready to load, one module a device, each with its undo
blocklist.py   the list as a folder
traffic.py     every contact with the outside, out of events/*.parquet, under machines' names
simulate.py    what a block would have cost in the past weeks
verify.py      what still passes, what goes around, who else tries
isolation.py   machines to take off the network, most urgent first
accounts.py    accounts to change because of them
state.py       requested, applied, verified: who and when
words.py       what all of it is called, and the order of work
clock.py       promises of an answer in business days
"""

from hikeshi.respond.clock import Calendar, Clock, business_day_after, due, pause, resume

__all__ = ["Calendar", "Clock", "business_day_after", "due", "pause", "resume"]
