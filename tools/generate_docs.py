"""Writes docs/events.md and docs/cli.md from the code; a test checks that they are current.

    PYTHONPATH=src .venv/bin/python tools/generate_docs.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hikeshi.cli.main import COMMANDS, cli
from hikeshi.events.schema import COLUMNS

DOCS = Path(__file__).parents[1] / "docs"


def events_page() -> str:
    rows = "\n".join(f"| `{c.name}` | {c.type} | {c.meaning} |" for c in COLUMNS)
    return (
        "# The event table\n\n"
        "Generated from `src/hikeshi/events/schema.py` by `tools/generate_docs.py`. "
        "Names are flat Elastic Common Schema names; times are UTC.\n\n"
        "| column | type | meaning |\n|---|---|---|\n" + rows + "\n"
        "| `fields` | map of text | Everything else a record holds, under its own name "
        "(Windows EventData names unchanged) |\n"
    )


def cli_page() -> str:
    parts = [
        "# Commands\n",
        "Generated from the commands' own help by `tools/generate_docs.py`. Exit codes: 0 nothing found, "
        "1 found something, 2 usage, 3 input unreadable, 4 own failure; 128 and more: stopped by a signal "
        "(130 Ctrl-C, 141 the reader of a pipe went away). "
        "Results go to standard output, conversation to standard error.\n",
    ]
    context = click.Context(cli, info_name="hikeshi", help_option_names=["-h", "--help"])
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        usage = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        parts.append(f"## {name}\n\n```\n{command.get_help(usage)}\n```\n")
    return "\n".join(parts)


PAGES = {"events.md": events_page, "cli.md": cli_page}

if __name__ == "__main__":
    made = {page: make() for page, make in PAGES.items()}
    if sys.argv[1:] == ["--check"]:
        stale = [page for page, text in made.items() if (DOCS / page).read_text("utf-8") != text]
        sys.exit(f"not current: {', '.join(stale)}; run tools/generate_docs.py" if stale else 0)
    for page, text in made.items():
        (DOCS / page).write_text(text, "utf-8")
