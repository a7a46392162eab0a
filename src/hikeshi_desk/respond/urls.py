"""Addresses of a case's response, under /desk/."""

from django.urls import path

from hikeshi_desk.respond import views

app_name = "respond"
_CASE = "case/<uuid:case_id>/response/"
urlpatterns = [
    path(_CASE, views.overview, name="overview"),
    path(f"{_CASE}plan/", views.plan_page, name="plan"),
    path(f"{_CASE}history/", views.history, name="history"),
    path(f"{_CASE}blocklist/<str:device>.zip", views.blocklist, name="blocklist"),
    *(path(f"{_CASE}do/{act.__name__}/", act, name=f"do-{act.__name__}") for act in (
        views.begin, views.propose, views.mark, views.take_back, views.add, views.withdraw, views.restore, views.ask,
        views.unask, views.set_plan, views.decide, views.approve, views.withdraw_decision)),
    path(f"{_CASE}<str:kind>/", views.measures, name="measures"),
]
