"""Fetch new mail and send what waits, once: for cron, or to try the configuration."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from hikeshi_desk.mail.imap import poll
from hikeshi_desk.mail.models import ReceivedMail
from hikeshi_desk.mail.post import load_post
from hikeshi_desk.mail.receive import resume
from hikeshi_desk.mail.send import queue_closings, queue_replies, send_waiting


class Command(BaseCommand):
    help = "Fetch new mail and send what waits, once."

    def handle(self, *args: Any, **options: Any) -> None:
        fetched = poll(load_post())
        resume()
        queue_replies()
        queue_closings()
        sent, failed = send_waiting()
        apart = ReceivedMail.objects.filter(state=ReceivedMail.State.QUARANTINED).count()
        self.stdout.write(f"{fetched} fetched, {sent} sent, {failed} not sent yet, {apart} in quarantine")
