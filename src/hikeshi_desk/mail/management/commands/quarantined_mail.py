"""List the mails that could not be opened safely, or open a case from one after looking at it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hikeshi_desk.mail import store
from hikeshi_desk.mail.models import ReceivedMail
from hikeshi_desk.mail.receive import release


class Command(BaseCommand):
    help = "List mails in quarantine; --release SHA256 opens a case with the raw mail attached."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--release", metavar="SHA256")

    def handle(self, *args: Any, **options: Any) -> None:
        apart = ReceivedMail.objects.filter(state=ReceivedMail.State.QUARANTINED)
        if options["release"]:
            found = apart.filter(sha256=options["release"]).first()
            if found is None:
                raise CommandError("no such mail in quarantine")
            self.stdout.write(f"{release(found).state} {found.sha256}")
            return
        for mail in apart:
            self.stdout.write(f"{mail.received_at:%Y-%m-%d %H:%MZ}  {mail.size:>12,}  {store.path_of(mail.sha256)}\n"
                              f"  {mail.reason_en}")
