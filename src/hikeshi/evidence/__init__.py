"""The only code that opens what a stranger sent.

acquire.py   folders, files and archives become Sources: path, sha256, size, kind, encoding
archive.py   zip, gz, bz2, xz, 7z, tar with limits on size, ratio, depth, count and names
sniff.py     what the bytes are, whatever the name says
text.py      encodings; lines with offsets, capped in length
manifest.py  manifest.json; atomic.py writes files whole or not at all
zone_notes.py  zones that the evidence's own notes.toml gives
mail.py      a mail as data and files (mail_reader.py runs it in a child); mail_text.py, mail_html.py, tnef.py
sandbox/     parsing in limited child processes
"""
