"""Addresses under /desk/."""

from django.urls import path

from hikeshi_desk.cases import desk_views, part_views, views

app_name = "cases"
_CASE = "case/<uuid:case_id>/"
urlpatterns = [
    path("", views.queue_page, name="queue"),
    path("file/<uuid:attachment_id>/", views.attachment, name="attachment"),
    path(_CASE, views.case_page, name="case"),
    path("breaches/", desk_views.breaches_page, name="breaches"),
    path("groups/", desk_views.groups_page, name="groups"),
    path("groups/add/", desk_views.group_add, name="group-add"),
    path("groups/<int:team_id>/", desk_views.group_change, name="group-change"),
    path("phone/", desk_views.phone_page, name="phone"),
    path("phone/<uuid:case_id>/", desk_views.phone_receipt, name="phone-receipt"),
    path("routing/", desk_views.routing_page, name="routing"),
    path(f"{_CASE}about/", part_views.about_page, name="about"),
    path(f"{_CASE}refer/", part_views.refer_page, name="refer"),
    path(f"{_CASE}relay/", part_views.relay, name="relay"),
    path(f"{_CASE}split/", part_views.split_page, name="split"),
    path(f"{_CASE}do/split/", part_views.split, name="do-split"),
    path(f"{_CASE}do/tell/", views.tell, name="do-tell"),
    path(f"{_CASE}end/", views.end_page, name="end"),
    path(f"{_CASE}opinion/", views.opinion_page, name="opinion"),
    path(f"{_CASE}people/", views.people_page, name="people"),
    path(f"{_CASE}triage/", views.triage_page, name="triage"),
    *(path(f"{_CASE}do/{act.__name__}/", act, name=f"do-{act.__name__}") for act in (
        views.answer_referral, views.assign, views.breach, views.close, views.coordinate, views.decline,
        views.describe, views.escalate, views.finish, views.hand_over, views.invite, views.merge, views.note,
        views.opine, views.pause, views.reopen, views.reply, views.resume, views.route, views.send_opinion, views.take,
        views.triage, views.undo, views.uninvite, views.unmerge)),
]
