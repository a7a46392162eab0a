"""The consulting side's addresses."""

from django.urls import path

from hikeshi_desk.consult import views

app_name = "consult"
urlpatterns = [
    path("", views.landing, name="landing"),
    path("code/", views.code, name="code"),
    path("consult/", views.consult, name="form"),
    path("leave/", views.leave, name="leave"),
    path("receipt/", views.receipt, name="receipt"),
    path("thread/", views.conversation, name="thread"),
    path("thread/close/", views.close, name="close"),
    path("thread/name/", views.name, name="name"),
    path("thread/reply/", views.answer, name="reply"),
]
