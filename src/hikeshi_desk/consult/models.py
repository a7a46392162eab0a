"""What the consulting side keeps of its own: how far a conversation was read."""

from __future__ import annotations

from django.db import models

from hikeshi_desk.cases.models import Case, Message


class LastRead(models.Model):
    """The newest answer that was shown to whoever holds the code. No time is kept: nobody's habits are."""

    case = models.OneToOneField(Case, models.CASCADE, primary_key=True, related_name="last_read")
    message = models.ForeignKey(Message, models.CASCADE, related_name="+")
