"""Rows of evidence are sealed in a chain of batches; those that are there already, in the order of their keys."""

from __future__ import annotations

import msgspec
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.utils import timezone

from audit.canonical import GENESIS, plain
from audit.digests import digest_of, digester

_TOGETHER = 500
_SEALED = ("OrderDecision", "ReservationEnd", "JournalReject")


def seal_what_is_there(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    head = {"sequence": 0, "hash": GENESIS}
    for name in _SEALED:
        model = apps.get_model("audit", name)
        while rows := list(model.objects.filter(batch=None).order_by("pk")[:_TOGETHER]):
            _seal(apps, rows, head)
    apps.get_model("audit", "EvidenceHead").objects.create(pk=1, **head)


def _seal(apps: Apps, rows: list[models.Model], head: dict[str, object]) -> None:
    number, model = int(str(head["sequence"])) + 1, type(rows[0])
    for row in rows:
        row.batch = number
    model.objects.filter(pk__in=[row.pk for row in rows]).update(batch=number)
    found = digester(model)
    digests = {str(row.pk): found.digest_row(row) for row in rows}
    content = {model._meta.label_lower: {"columns": found.names, "rows": digests}}
    at = timezone.now()
    said = {
        "sequence": number,
        "rows": len(rows),
        "content": msgspec.json.encode(content, order="sorted").decode(),
        "previous_hash": head["hash"],
    }
    found_hash = digest_of({**said, "at": plain(at)})
    apps.get_model("audit", "EvidenceBatch").objects.create(**said, at=at, hash=found_hash)
    head.update(sequence=number, hash=found_hash)


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
        *(
            migrations.AddField(name, "batch", models.BigIntegerField(null=True, db_index=True, editable=False))
            for name in _SEALED
        ),
        migrations.RunPython(seal_what_is_there, migrations.RunPython.noop),
        *(
            migrations.AlterField(name, "batch", models.BigIntegerField(db_index=True, editable=False))
            for name in _SEALED
        ),
    ]
