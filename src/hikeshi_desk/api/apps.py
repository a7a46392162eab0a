from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "hikeshi_desk.api"
    label = "api"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.accounts.access import register
        from hikeshi_desk.api import alerts, tokens
        from hikeshi_desk.api.models import AlertGroup, Token
        from hikeshi_desk.cases import panels
        from hikeshi_desk.intake.limits import limits

        limits()  # a mistake in desk.toml is said now, not to a sender
        register(Token, tokens.visible_tokens)
        register(AlertGroup, alerts.visible_groups)
        panels.register(panels.Panel("alerts", "api/alerts_panel.html", alerts.panel, "main", 5, alerts.reads))
