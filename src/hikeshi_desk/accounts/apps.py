from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "hikeshi_desk.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.accounts import rules

        rules.register_all()
