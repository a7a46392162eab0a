"""The consulting side's addresses."""

from django.urls import path

from hikeshi_desk.consult import views, writing
from hikeshi_desk.consult.guide import STEPS

app_name = "consult"
urlpatterns = [
    path("", views.landing, name="landing"),
    path("checks/", views.checks, name="checks"),
    path("code/", views.code, name="code"),
    path("consult/", writing.short, name="form"),
    *(path(f"consult/guided/{step}/", writing.guided(step), name=f"guided-{step}") for step in STEPS),
    path("leave/", views.leave, name="leave"),
    path("logo/", views.logo, name="logo"),
    path("privacy/", views.privacy, name="privacy"),
    path("receipt/", views.receipt, name="receipt"),
    path("thread/", views.conversation, name="thread"),
    path("thread/close/", views.close, name="close"),
    path("thread/file/<uuid:file_id>/", views.file, name="file"),
    path("thread/name/", views.name, name="name"),
    path("thread/report/", views.report, name="report"),
    path("thread/reply/", views.answer, name="reply"),
    path("words/", views.words, name="words"),
]
