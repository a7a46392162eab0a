"""`{% lines "key" as name %}`: a text's lines as a list; `{% explained text %}`: with its terms explained;
`{% glossed %}…{% endglossed %}`: a whole page with its terms explained; `{% files_hint %}`; `{{ bytes|size }}`."""

from __future__ import annotations

from django import template
from django.template import Context
from django.utils.safestring import SafeString

from hikeshi_desk.accounts.texts import text
from hikeshi_desk.intake.upload import MOST_FILES, most_bytes

register = template.Library()


@register.simple_tag
def lines(key: str) -> list[str]:
    return text(key).splitlines()


@register.simple_tag(takes_context=True)
def explained(context: Context, words: str) -> SafeString:
    marked: SafeString = context["glossary"].mark(str(words))
    return marked


class Glossed(template.Node):
    def __init__(self, inside: template.NodeList) -> None:
        self.inside = inside

    def render(self, context: Context) -> SafeString:
        page: SafeString = context["glossary"].page(self.inside.render(context))
        return page


@register.tag
def glossed(parser: template.base.Parser, token: template.base.Token) -> Glossed:
    inside = parser.parse(("endglossed",))
    parser.delete_first_token()
    return Glossed(inside)


@register.simple_tag
def files_hint() -> str:
    return text("consult.form.files_hint", number=MOST_FILES, most=size(most_bytes()))


@register.filter
def size(count: int) -> str:
    """A size as people read it, in binary units."""
    number, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{number:,.0f} {unit}" if unit == "B" or number >= 100 else f"{number:,.1f} {unit}".replace(".0 ", " ")
