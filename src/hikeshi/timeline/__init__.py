"""A finished triage as a timeline that people and other tools can work with.

opened.py   the result folder as tables: events, and which findings stand on which record
rows.py     one row per record, in time order, filtered
telling.py  what a record says, in one line
logons.py   who signed on where, from where, how often, or tried to
pivots.py   the values to look for next
export.py   CSV, JSON Lines, Timesketch

Reads what `hikeshi triage --out` made (findings.jsonl, case.json, events/*.parquet); memory stays bounded, DuckDB
sorts on the disk.
"""
