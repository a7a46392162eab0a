"""Bytes to event tables: one module a format.

registry.py         the table of formats, recognition by content, `parse_source`
context.py          zone and year of a file; what a line parser gives back
stamps.py           the times logs write            addresses.py  hosts, ports, accounts
syslog.py           headers, and syslog as a format  names.py      other names to our columns (data/field_names.toml)
block.py            many like lines as columns       pieces.py     documents in one line
evtx.py             Windows event logs; windows_xml.py, windows_records.py their exports
windows.py          common columns of Windows events (data/windows_events.toml)
squid.py access.py w3c.py paloalto.py fortigate.py cisco_asa.py netscaler.py openvpn.py
linux.py esxi.py bind.py postfix.py vpcflow.py
cef.py jsonlines.py keyvalue.py delimited.py prose.py plaintext.py   whatever else there is
"""
