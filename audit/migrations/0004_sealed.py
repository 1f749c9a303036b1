"""Rows of evidence are sealed in a chain of batches."""

from __future__ import annotations

from django.db import migrations, models

from audit.canonical import GENESIS
from audit.migrations._sealing import sealed_from_now_on


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_given_password")]

    operations = [
        migrations.CreateModel(
            name="EvidenceBatch",
            fields=[
                ("sequence", models.BigIntegerField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(db_index=True)),
                ("rows", models.PositiveIntegerField()),
                ("content", models.TextField()),
                ("previous_hash", models.CharField(max_length=64, unique=True)),
                ("hash", models.CharField(max_length=64, unique=True)),
            ],
            options={
                "verbose_name_plural": "evidence batches",
                "ordering": ("-sequence",),
                "abstract": False,
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("sequence__gte", 1)), name="evidence_batch_sequence")
                ],
            },
        ),
        migrations.CreateModel(
            name="EvidenceHead",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("sequence", models.BigIntegerField(default=0)),
                ("hash", models.CharField(default=GENESIS, max_length=64)),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="evidence_head_single")],
            },
        ),
        migrations.CreateModel(
            name="EvidenceArchive",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("batch", models.BigIntegerField(db_index=True, editable=False)),
                ("name", models.CharField(max_length=200, unique=True)),
                ("first", models.BigIntegerField()),
                ("through", models.BigIntegerField()),
                ("rows", models.PositiveBigIntegerField()),
                ("bytes", models.PositiveBigIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "ordering": ("-through",),
                "abstract": False,
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("through__gte", models.F("first"))), name="evidence_archive_order"
                    )
                ],
            },
        ),
        *sealed_from_now_on("audit", "OrderDecision", "ReservationEnd", "JournalReject"),
    ]
