"""Addresses under /desk/on-call/."""

from django.urls import path

from hikeshi_desk.oncall import views

app_name = "oncall"
urlpatterns = [
    path("", views.roster_page, name="roster"),
    path("shift/", views.shift_add, name="shift-add"),
    path("shift/<uuid:shift_id>/end/", views.shift_end, name="shift-end"),
    path("way/", views.way_add, name="way-add"),
    path("way/<uuid:way_id>/remove/", views.way_remove, name="way-remove"),
    path("test/", views.test, name="test"),
    path("case/<uuid:case_id>/take/", views.take, name="take"),
    path("link/<str:token>/", views.link, name="link"),
]
