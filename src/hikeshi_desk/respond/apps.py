from django.apps import AppConfig


class RespondConfig(AppConfig):
    name = "hikeshi_desk.respond"
    label = "respond"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.cases import panels, signals
        from hikeshi_desk.respond import panel, propose
        from hikeshi_desk.respond.access import register_rules

        register_rules()
        panels.register(panels.Panel("respond", "respond/panel.html", panel.build, "side", 5, panel.reads))
        signals.case_analysed.connect(propose.heard, dispatch_uid="respond.analysed")
