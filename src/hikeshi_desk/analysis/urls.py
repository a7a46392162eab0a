"""Addresses under /desk/case/<id>/analysis/."""

from django.urls import path

from hikeshi_desk.analysis import views

app_name = "analysis"
urlpatterns = [
    path("again/", views.again, name="again"),
    path("ask/", views.ask, name="ask"),
    path("confirm/", views.confirm, name="confirm"),
    path("findings/", views.findings_page, name="findings"),
    path("findings.jsonl", views.findings_file, name="findings-file"),
    path("report/", views.report, name="report"),
    path("report.pdf", views.report_pdf, name="report-pdf"),
    path("spread.svg", views.spread, name="spread"),
]
