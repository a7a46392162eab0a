"""Which ransomware, or unknown: notes, file names and file bytes → ranked families, each with reasons.

text.py       bytes of a note in any form → text with line numbers
documents.py  the text of Word, ODT, PDF and mail files; pictures.py: of pictures, where OCR is installed
attached.py   the files inside a mail
gate.py       is this a ransom note at all?
selfname.py   where a text presents itself by a name
fuzzy.py      addresses damaged by scanning or typing
clues.py      everything that points at a family, with weight and reason
traces.py     weak clues as data: tools, ways of renaming
encrypted.py  is a file encrypted, and how was it renamed?
blockmap.py   which parts of it; recovery.py: what may be tried
rank.py       clues → ranked families, named or not
answer.py     the answer; engine.py: identify, examine one file, merge a case
"""

from hikeshi.identify.answer import Actor, Answer, Candidate
from hikeshi.identify.encrypted import FileFacts, inspect_file
from hikeshi.identify.engine import (
    Examined,
    Input,
    Question,
    ask,
    examine,
    examine_input,
    identify,
    identify_file,
    merge,
    prepare,
)

__all__ = [
    "Actor",
    "Answer",
    "Candidate",
    "Examined",
    "FileFacts",
    "Input",
    "Question",
    "ask",
    "examine",
    "examine_input",
    "identify",
    "identify_file",
    "inspect_file",
    "merge",
    "prepare",
]
