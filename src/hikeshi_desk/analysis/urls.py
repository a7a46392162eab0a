"""Addresses under /desk/case/<id>/analysis/."""

from django.urls import path

from hikeshi_desk.analysis import views

app_name = "analysis"
_CASE = "case/<uuid:case_id>/analysis/"
urlpatterns = [
    path(f"{_CASE}again/", views.again, name="again"),
    path(f"{_CASE}ask/", views.ask, name="ask"),
    path(f"{_CASE}confirm/", views.confirm, name="confirm"),
    path(f"{_CASE}findings/", views.findings_page, name="findings"),
    path(f"{_CASE}findings.jsonl", views.findings_file, name="findings-file"),
    path(f"{_CASE}report/", views.report, name="report"),
    path(f"{_CASE}report.pdf", views.report_pdf, name="report-pdf"),
    path(f"{_CASE}spread.svg", views.spread, name="spread"),
]
