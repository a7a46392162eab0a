"""The report as PDF, set with typst in fonts that come from packages."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import orjson

from hikeshi.errors import OutputError
from hikeshi.report.view import View


def font_folders() -> list[str]:
    """Where the Japanese fonts of the installed packages lie."""
    import noto_cjk_sans_jp_bold
    import noto_cjk_sans_jp_regular

    packages = (noto_cjk_sans_jp_regular, noto_cjk_sans_jp_bold)
    return [str(Path(folder)) for package in packages for folder in package.__path__]


def render_pdf(views: Sequence[View]) -> bytes:
    """Both languages after each other, A4. Raises OutputError with typst's own words."""
    import typst

    template = (files("hikeshi") / "report" / "templates" / "report.typ").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "report.typ").write_bytes(template)
        Path(folder, "data.json").write_bytes(orjson.dumps([asdict(v) for v in views]))
        try:
            document = typst.compile(str(Path(folder, "report.typ")), root=folder, font_paths=font_folders(),
                                     ignore_system_fonts=True)
        except RuntimeError as error:
            raise OutputError(f"the PDF could not be set: {error}",
                              hint="report.html holds the same content; please report this") from error
    assert isinstance(document, bytes)
    return document
