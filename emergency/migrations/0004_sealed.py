"""The timelines of stops, and the accounts as they were, are sealed."""

from __future__ import annotations

from django.db import migrations

from audit.migrations._sealing import sealed_from_now_on


class Migration(migrations.Migration):
    dependencies = [("emergency", "0003_permissions"), ("audit", "0004_sealed")]

    operations = sealed_from_now_on("emergency", "StopStep", "StopAccount")
