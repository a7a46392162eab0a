"""An owed case stands in the queue by its task where that is due before the answer: kept in order_at from now on."""

from django.db import migrations
from django.db.models import F


def order_by_tasks(apps, schema_editor):
    cases = apps.get_model("cases", "Case").objects
    cases.filter(rank__lte=1, task_due_at__lt=F("order_at")).update(order_at=F("task_due_at"))


class Migration(migrations.Migration):

    dependencies = [
        ("cases", "0003_longer_classes"),
    ]

    operations = [
        migrations.RunPython(order_by_tasks, migrations.RunPython.noop),
    ]
