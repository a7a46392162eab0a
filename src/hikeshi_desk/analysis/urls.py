"""Addresses under /desk/case/<id>/analysis/ and /desk/knowledge/."""

from django.urls import path

from hikeshi_desk.analysis import knowledge_views, lesson_views, timeline_views, views

app_name = "analysis"
_CASE = "case/<uuid:case_id>/analysis/"
_WAITING = "knowledge/waiting/<str:sha256>/"
urlpatterns = [
    path(f"{_CASE}again/", views.again, name="again"),
    path(f"{_CASE}ask/", views.ask, name="ask"),
    path(f"{_CASE}confirm/", views.confirm, name="confirm"),
    path(f"{_CASE}actor/", views.actor, name="actor"),
    path(f"{_CASE}way/", views.way, name="way"),
    path(f"{_CASE}withdraw/", views.withdraw, name="withdraw"),
    path(f"{_CASE}findings/", views.findings_page, name="findings"),
    path(f"{_CASE}findings.jsonl", views.findings_file, name="findings-file"),
    path(f"{_CASE}report/", views.report, name="report"),
    path(f"{_CASE}report.pdf", views.report_pdf, name="report-pdf"),
    path(f"{_CASE}spread.svg", views.spread, name="spread"),
    path(f"{_CASE}timeline/", timeline_views.timeline, name="timeline"),
    path(f"{_CASE}timeline/<int:number>/", timeline_views.one, name="timeline-record"),
    path(f"{_CASE}timeline/logons/", timeline_views.logons, name="logons"),
    path(f"{_CASE}timeline/values/", timeline_views.values, name="values"),
    path(f"{_CASE}timeline.<str:form>", timeline_views.saved, name="timeline-file"),
    path(f"{_CASE}lesson/", lesson_views.write, name="lesson-write"),
    path("knowledge/lessons/", lesson_views.lessons, name="lessons"),
    path("knowledge/lesson/<uuid:lesson_id>/", lesson_views.one, name="lesson"),
    path("knowledge/lesson/<uuid:lesson_id>/change/", lesson_views.change, name="lesson-change"),
    path("knowledge/lesson/<uuid:lesson_id>/release/", lesson_views.release, name="lesson-release"),
    path("knowledge/lesson/<uuid:lesson_id>/withdraw/", lesson_views.withdraw, name="lesson-withdraw"),
    path("knowledge/", knowledge_views.page, name="knowledge"),
    path("knowledge/families/", knowledge_views.families, name="families"),
    path("knowledge/family/<str:family_id>/", knowledge_views.family, name="family"),
    path("knowledge/actor/<path:name>/", knowledge_views.actor, name="known-actor"),
    path("knowledge/changed/", knowledge_views.changed, name="changed"),
    path("knowledge/pack/", knowledge_views.pack_file, name="pack-file"),
    path("knowledge/key/<str:key_id>/", knowledge_views.key_file, name="key-file"),
    path("knowledge/import/", knowledge_views.bring, name="pack-bring"),
    path("knowledge/undo/", knowledge_views.undo, name="pack-undo"),
    path(_WAITING, knowledge_views.waiting, name="pack-waiting"),
    path(f"{_WAITING}use/", knowledge_views.use, name="pack-use"),
    path(f"{_WAITING}drop/", knowledge_views.drop, name="pack-drop"),
    path("knowledge/trust/", knowledge_views.trust, name="key-trust"),
    path("knowledge/distrust/", knowledge_views.distrust, name="key-distrust"),
]
