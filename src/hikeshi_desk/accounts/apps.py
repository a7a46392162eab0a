from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "hikeshi_desk.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.accounts import oidc, rules

        rules.register_all()
        oidc.service()  # a mistake in [oidc] stops the start, not the first sign-in
