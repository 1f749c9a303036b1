"""Seals rows that were there before they were sealed when they are added: in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.utils import timezone

from audit.canonical import GENESIS, plain
from audit.digests import digest_of, digester

_TOGETHER = 500


def sealed_from_now_on(app: str, *names: str) -> list[migrations.operations.base.Operation]:
    """Return what gives these models of an application their batch, whose rows may be there already."""
    fields = [models.BigIntegerField(null=True, db_index=True, editable=False) for _ in names]
    final = [models.BigIntegerField(db_index=True, editable=False) for _ in names]
    return [
        *(migrations.AddField(name, "batch", field) for name, field in zip(names, fields, strict=True)),
        migrations.RunPython(_seal_all(app, names), migrations.RunPython.noop),
        *(migrations.AlterField(name, "batch", field) for name, field in zip(names, final, strict=True)),
    ]


def _seal_all(app: str, names: tuple[str, ...]) -> Callable[[Apps, BaseDatabaseSchemaEditor], None]:
    def seal(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
        for name in names:
            model = apps.get_model(app, name)
            unsealed = model._default_manager.filter(batch=None).order_by("pk")
            rows = list(unsealed[:_TOGETHER])
            while rows:
                _seal(apps, rows)
                # Not from the beginning again: the index would be walked over all that is sealed by now.
                rows = list(unsealed.filter(pk__gt=rows[-1].pk)[:_TOGETHER])

    return seal


def _seal(apps: Apps, rows: list[models.Model]) -> None:
    head, _ = apps.get_model("audit", "EvidenceHead")._default_manager.get_or_create(pk=1, defaults={"hash": GENESIS})
    head.sequence += 1
    model = type(rows[0])
    for row in rows:
        row.batch = head.sequence  # type: ignore[attr-defined]
    model._default_manager.filter(pk__in=[row.pk for row in rows]).update(batch=head.sequence)
    found = digester(model)
    digests = {str(row.pk): found.digest_row(row) for row in rows}
    content = {model._meta.label_lower: {"columns": found.names, "rows": digests}}
    said = {
        "sequence": head.sequence,
        "rows": len(rows),
        "content": msgspec.json.encode(content, order="sorted").decode(),
        "previous_hash": head.hash,
    }
    at = timezone.now()
    head.hash = digest_of({**said, "at": plain(at)})  # type: ignore[dict-item]
    apps.get_model("audit", "EvidenceBatch")._default_manager.create(**said, at=at, hash=head.hash)
    head.save()
