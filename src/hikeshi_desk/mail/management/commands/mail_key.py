"""Make the desk's own OpenPGP key pair, or show its fingerprint."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hikeshi_desk.mail import keys
from hikeshi_desk.mail.post import load_post


class Command(BaseCommand):
    help = "Make the desk's OpenPGP key pair (create), or show its fingerprint (show)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["create", "show"])

    def handle(self, *args: Any, **options: Any) -> None:
        if options["act"] == "create":
            post = load_post()
            if not post.address:
                raise CommandError("the desk has no address: set [mail] address in desk.toml or HIKESHI_MAIL_ADDRESS")
            try:
                keys.create(post)
            except FileExistsError as error:
                raise CommandError(f"there is a key already: {keys.path()}. Mail encrypted for it could never be read "
                                   "again without it; move it away yourself to begin anew.") from error
        own = keys.own()
        if own is None:
            raise CommandError("the desk has no key yet: hikeshi desk mail-key create")
        self.stdout.write(f"{own.grouped}\n{keys.public_path()}")
