from pathlib import Path

from django.apps import AppConfig
from django.conf import settings


class ConsultConfig(AppConfig):
    name = "hikeshi_desk.consult"
    label = "consult"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hikeshi_desk.consult.desk import load

        load(Path(settings.DATA) / "desk.toml")  # a mistake in it is said now, not to a consultee
