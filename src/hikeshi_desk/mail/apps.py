from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "hikeshi_desk.mail"
    label = "mail"
    default_auto_field = "django.db.models.BigAutoField"
