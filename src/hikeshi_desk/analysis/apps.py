from django.apps import AppConfig


class AnalysisConfig(AppConfig):
    name = "hikeshi_desk.analysis"
    label = "analysis"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.analysis import draft, panel, service, shown, ways_draft
        from hikeshi_desk.analysis.access import register_rules
        from hikeshi_desk.cases import drafts, panels, signals

        register_rules()
        panels.register(panels.Panel("analysis", "analysis/panel.html", panel.build, "main", 10, shown.reads_of_panel))
        drafts.register(drafts.Draft("analysis", "analysis.draft.label", draft.is_offered, draft.build,
                                     draft.parts))
        drafts.register(drafts.Draft("ways", "knowledge.ways.label", ways_draft.is_offered, ways_draft.build,
                                     ways_draft.parts))
        drafts.register_proposal("identify_ransomware", draft.proposal)
        signals.case_opened.connect(service.heard, dispatch_uid="analysis.opened")
        signals.case_heard.connect(service.heard, dispatch_uid="analysis.heard")
        signals.case_filed.connect(service.heard, dispatch_uid="analysis.filed")
