from django.apps import AppConfig


class CasesConfig(AppConfig):
    name = "hikeshi_desk.cases"
    label = "cases"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.cases.access import register_rules

        register_rules()
