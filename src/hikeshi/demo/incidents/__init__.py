"""Generated incidents: a plot (way in, moves, end) and decoys, cast anew by every seed, with the truth.

They are made for measuring: each mixes the same ordinary week with another attack and with innocent
work that looks like one. `scenarios` names the plots; those with `held_back` are not for tuning.

incident.py  who sits where and what time it is    ways.py    ways in
verbs.py     more of what people and programs do   moves.py   from machine to machine
decoys.py    what looks like an attack             ends.py    what it was for
"""

from hikeshi.demo.incidents.catalogue import Plot, plots, write_incident

__all__ = ["Plot", "plots", "write_incident"]
