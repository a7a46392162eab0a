"""Take in one mail from standard input: for .forward files and mail servers that pipe."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hikeshi_desk.mail.receive import receive


class Command(BaseCommand):
    help = "Take in one mail from standard input. Exit code 75 tells the mail server to try again later."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="envelope_from", default=None, help="the envelope's sender")
        parser.add_argument("--to", dest="envelope_to", action="append", default=[], help="an envelope recipient")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            received = receive(iter(lambda: sys.stdin.buffer.read(2**20), b""), source="pipe",
                               envelope_from=options["envelope_from"], envelope_to=options["envelope_to"])
        except Exception as error:  # the mail server still has the mail: say so with its own code
            raise CommandError(f"the mail was not kept: {error}", returncode=75) from error
        self.stdout.write(f"{received.state} {received.sha256}")
