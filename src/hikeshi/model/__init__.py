"""What Hikeshi talks about, as frozen records without any I/O.

evidence.py   where a statement can be checked: file, sha256, record or line
finding.py    what was found, how sure, why, what next
indicator.py  an address, name or hash to look for
sighting.py   an indicator seen in a log, by which client, how often
case.py       the answer of a triage run: the contents of case.json
tlp.py        Traffic Light Protocol 2.0
"""
