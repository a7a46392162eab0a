"""The report as one HTML file: opens offline, no script, both languages."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

import hikeshi
from hikeshi.report.pieces import Block, Cell
from hikeshi.report.view import View
from hikeshi.report.words import all_words


def render_html(views: tuple[View, View]) -> str:
    """Both views in one page; the reader's choice of language needs no script."""
    folder = files("hikeshi") / "report" / "templates"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string((folder / "report.html").read_text("utf-8"))
    # Our own style sheet and our own drawings are the only markup that is not escaped.
    return template.render(
        views=views, css=Markup((folder / "report.css").read_text("utf-8")), svg=_drawing, pieces=_pieces,
        language_name={"ja": all_words()["language"].ja, "en": all_words()["language"].en},
        record_word={"ja": all_words()["col_records"].ja, "en": all_words()["col_records"].en},
        tlp_class="tlp-" + views[0].tlp.removeprefix("TLP:").removesuffix("+STRICT").lower(),
        version=hikeshi.__version__)


def _drawing(block: Block) -> Markup:
    return Markup(block.svg)  # made by spread.py and activity.py, which escape what they show


def _pieces(cell: Cell) -> list[tuple[str, str]]:
    """The text cut at its terms: piece and term id, "" for what lies between."""
    found, end = [], 0
    for start, stop, one in cell.terms:
        found += [(cell.text[end:start], ""), (cell.text[start:stop], one)]
        end = stop
    return [*found, (cell.text[end:], "")]
