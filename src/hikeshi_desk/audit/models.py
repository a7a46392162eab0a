"""One row for each act; each row holds the hash of the row before it."""

from __future__ import annotations

from django.db import models


class Entry(models.Model):
    """`sequence` has no gaps; `digest` is SHA-256 over the previous digest and this row's content.

    `actor` is a user's id, "consultee" or "system"; never a network address.
    """

    sequence = models.PositiveBigIntegerField(unique=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=64)
    act = models.CharField(max_length=64)
    subject = models.CharField(max_length=128, db_index=True)
    detail = models.JSONField(default=dict)
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)

    class Meta:
        ordering = ["sequence"]
