"""The catalog of a granted file becomes a relation; the column stays as it is."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0002_statistic_ranges'),
        ('execution', '0012_extracts'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField(model_name='grantedfile', name='catalog_id'),
                migrations.AddField(
                    model_name='grantedfile',
                    name='catalog',
                    field=models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name='+',
                        to='catalog.catalog',
                    ),
                    preserve_default=False,
                ),
            ]
        ),
    ]
