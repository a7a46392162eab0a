"""Bytes to event tables: one module a format.

registry.py         the way in: `parse_source`            formats.py    the table of formats; format.py one row
recognise.py        which format a file has             one_line.py   one line, whatever it is
file.py             a text file as parsers receive it   chosen.py     single lines chosen by somebody else
readers.py          files line by line or in blocks; json_reader.py, windows_reader.py, table_reader.py
context.py          zone and year of a file; what a line parser gives back
stamps.py           the times logs write            addresses.py  hosts, ports, accounts
syslog.py           headers, and syslog as a format  headed.py     blocks behind such headers
names.py            other names to our columns (data/field_names.toml); content.py values by their looks
block.py            many like lines as columns       pieces.py     documents in one line
flat.py             nested JSON as flat names        cloud.py      which maker's JSON a record is
evtx.py             Windows event logs; windows_xml.py, windows_records.py their exports
windows.py          common columns of Windows events (data/windows_events.toml)
proxies             squid.py access.py w3c.py ifilter.py skyhigh.py umbrella.py zscaler.py
firewalls, VPN      fortigate.py fortigate_block.py paloalto.py paloalto_json.py cisco_asa.py ivanti.py
                    sonicwall.py netscaler.py rtx.py openvpn.py
hosts and servers   linux.py wtmp.py esxi.py bind.py windns.py postfix.py dhcp.py lease_files.py nas.py remotecontrol.py
clouds, sensors     m365.py entra.py azure.py cloudtrail.py vpcflow.py zeek.py
cef.py jsonlines.py keyvalue.py delimited.py prose.py plaintext.py   whatever else there is
"""
