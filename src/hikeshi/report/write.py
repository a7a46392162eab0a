"""Both reports as bytes, ready to be written."""

from __future__ import annotations

from hikeshi.report.html import render_html
from hikeshi.report.pdf import render_pdf
from hikeshi.report.view import ReportInput, build_view


def write_report(report: ReportInput) -> dict[str, bytes]:
    """File name → content: report.html and report.pdf. The same input gives the same bytes."""
    views = build_view(report, "ja"), build_view(report, "en")
    return {"report.html": render_html(views).encode(), "report.pdf": render_pdf(views)}
