"""The only code that opens what a stranger sent.

acquire.py   folders, files and archives become Evidence: path, sha256, size, sniffed format
archive.py   zip, gz, 7z with limits on size, depth, count and names
sniff.py     what the bytes are, whatever the name says
text.py      encodings; lines with offsets, capped in length
sandbox.py   parsing in limited child processes
"""
