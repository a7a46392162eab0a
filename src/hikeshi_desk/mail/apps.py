from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "hikeshi_desk.mail"
    label = "mail"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.accounts import outbox
        from hikeshi_desk.cases import panels
        from hikeshi_desk.mail import keys, send, shown
        from hikeshi_desk.mail.access import register_rules

        register_rules()
        panels.register(panels.Panel("mail", "mail/panel.html", shown.panel, "side", 1, shown.reads))
        outbox.carry(send.send_now_or_later, keys.is_ready)
