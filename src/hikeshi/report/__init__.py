"""The report of a triage run: one HTML file and one PDF, in Japanese and English.

view.py      decides everything that is said, as plain values for one language
words.toml   the fixed words of the report in both languages
footnotes.py numbers the records that statements cite
spread.py    the spread as a picture: time from left to right, one lane a host
activity.py  events over time, one small chart a source
html.py      renders the view as one file that opens offline, without script
pdf.py       renders the same view with typst
"""

from hikeshi.report.activity import Activity
from hikeshi.report.view import ReportInput
from hikeshi.report.write import write_report

__all__ = ["Activity", "ReportInput", "write_report"]
