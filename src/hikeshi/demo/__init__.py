"""Worked incidents: evidence as a company would hand it in, and the truth about it.

    for scenario in scenarios():
        truth = write_scenario(scenario.name, folder / scenario.name / "evidence")

evtx_writer.py      Windows event logs, byte by byte
windows_events.toml the events we write, with Windows' own field names
logs.py             lines as Squid, FortiGate, IIS and rsyslog write them
world.py            the company; actions.py what people do there; ordinary.py a week of it
scenarios/          three attacks as timed steps; truth.py what they leave to be found
check.py            an answer against the truth
"""

from hikeshi.demo.catalogue import Scenario, scenarios, write_scenario
from hikeshi.demo.truth import Truth

__all__ = ["Scenario", "Truth", "scenarios", "write_scenario"]
