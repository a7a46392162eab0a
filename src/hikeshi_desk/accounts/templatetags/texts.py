"""`{% t "area.key" name=value %}`: a text in the reader's language, escaped; `as name` keeps it."""

from __future__ import annotations

from django import template

from hikeshi_desk.accounts.texts import text

register = template.Library()


@register.simple_tag
def t(key: str, **values: object) -> str:
    return text(key, **values)
