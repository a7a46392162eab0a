from django.apps import AppConfig


class OncallConfig(AppConfig):
    name = "hikeshi_desk.oncall"
    label = "oncall"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.cases import panels, signals
        from hikeshi_desk.oncall import calls, plan, shown
        from hikeshi_desk.oncall.access import register_rules

        register_rules()
        plan.load_plan()  # a mistake in desk.toml is said now, not in the night
        panels.register(panels.Panel("oncall", "oncall/panel.html", shown.panel, "main", 1, shown.reads))
        signals.case_urgent.connect(calls.heard, dispatch_uid="oncall.urgent")
