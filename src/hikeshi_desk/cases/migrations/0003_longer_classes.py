"""The longest RSIT class has 66 signs: SQLite took it, PostgreSQL did not."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('cases', '0002_desk_side'),
    ]

    operations = [
        migrations.AlterField(
            model_name='case',
            name='rsit',
            field=models.CharField(blank=True, max_length=100),
        ),
        migrations.AlterField(
            model_name='triagedecision',
            name='rsit',
            field=models.CharField(blank=True, max_length=100),
        ),
    ]
