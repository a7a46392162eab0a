"""Addresses under /desk/."""

from django.urls import path

from hikeshi_desk.cases import views

app_name = "cases"
_CASE = "case/<uuid:case_id>/"
urlpatterns = [
    path("", views.queue_page, name="queue"),
    path("file/<uuid:attachment_id>/", views.attachment, name="attachment"),
    path(_CASE, views.case_page, name="case"),
    path(f"{_CASE}end/", views.end_page, name="end"),
    path(f"{_CASE}opinion/", views.opinion_page, name="opinion"),
    path(f"{_CASE}people/", views.people_page, name="people"),
    path(f"{_CASE}triage/", views.triage_page, name="triage"),
    *(path(f"{_CASE}do/{act.__name__}/", act, name=f"do-{act.__name__}") for act in (
        views.assign, views.breach, views.close, views.decline, views.finish, views.invite, views.merge, views.note,
        views.opine, views.pause, views.reopen, views.reply, views.resume, views.take, views.triage,
        views.uninvite)),
]
