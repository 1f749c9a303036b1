"""Books, their returns and the steps of requests are sealed."""

from __future__ import annotations

from django.db import migrations

from audit.migrations._sealing import sealed_from_now_on


class Migration(migrations.Migration):
    dependencies = [("policies", "0006_overrides"), ("audit", "0004_sealed")]

    operations = sealed_from_now_on("policies", "BookReturns", "Book", "RequestStep")
