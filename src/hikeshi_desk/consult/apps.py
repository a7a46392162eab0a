from django.apps import AppConfig


class ConsultConfig(AppConfig):
    name = "hikeshi_desk.consult"
    label = "consult"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.accounts.access import register
        from hikeshi_desk.consult.desk import told_by_operator
        from hikeshi_desk.consult.models import LastRead

        told_by_operator()  # a mistake in it is said now, not to a consultee
        register(LastRead, lambda viewer, rows: rows.none())
