from django.apps import AppConfig


class CasesConfig(AppConfig):
    name = "hikeshi_desk.cases"
    label = "cases"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.cases import advising, drafts, rules
        from hikeshi_desk.cases.access import register_rules

        register_rules()
        drafts.register(advising.draft())
        rules.routing(rules.routing_path())  # a mistake in the operator's table is said now, not to a handler
