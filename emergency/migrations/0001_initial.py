import django.db.models.deletion
from django.db import migrations, models

import emergency.words


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="EmergencyStop",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("global", "global"),
                            ("exchange", "exchange"),
                            ("account", "account"),
                            ("strategy", "strategy"),
                            ("symbol", "symbol"),
                        ],
                        max_length=16,
                    ),
                ),
                ("scope_id", models.CharField(blank=True, help_text="Empty for global scope.", max_length=64)),
                ("state", models.CharField(choices=[("REDUCING", "REDUCING"), ("HALTED", "HALTED")], max_length=16)),
                ("reason", models.TextField()),
                (
                    "triggered_by",
                    models.CharField(help_text="The person, policy or part that asked for it.", max_length=200),
                ),
                (
                    "trigger",
                    models.CharField(
                        choices=[
                            ("person", "person"),
                            ("policy", "policy"),
                            ("breaker", "breaker"),
                            ("lease", "lease"),
                            ("drill", "drill"),
                            ("recovery", "recovery"),
                        ],
                        max_length=16,
                    ),
                ),
                ("unwind", models.BooleanField(default=False, help_text="Positions are closed as well.")),
                ("asked_at", models.DateTimeField(help_text="When it was asked for, on the live state's clock.")),
                (
                    "engaged_at",
                    models.DateTimeField(help_text="When it was in force everywhere, on the live state's clock."),
                ),
                (
                    "in_force_known",
                    models.BooleanField(
                        default=False,
                        help_text="No: whoever called it ended too early, and engaged_at is when it was asked for.",
                    ),
                ),
                ("recorded_at", models.DateTimeField(help_text="When this row was written.")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("blocked", "blocked"),
                            ("cancelled", "cancelled"),
                            ("unwinding", "unwinding"),
                            ("flat", "flat"),
                            ("completed", "completed"),
                        ],
                        default=emergency.words.Status["BLOCKED"],
                        max_length=16,
                    ),
                ),
                (
                    "residuals",
                    models.JSONField(blank=True, default=list, help_text="What is left that should have been closed."),
                ),
                (
                    "force_asked_at",
                    models.DateTimeField(help_text="When somebody asked to lift it in spite of a breach.", null=True),
                ),
                ("force_asked_by", models.CharField(blank=True, max_length=200)),
                ("force_reason", models.TextField(blank=True)),
                ("lifted_at", models.DateTimeField(help_text="Empty: it is in force.", null=True)),
                ("lifted_by", models.CharField(blank=True, max_length=200)),
                ("lifted_reason", models.TextField(blank=True)),
                (
                    "forced",
                    models.BooleanField(
                        default=False, help_text="It was lifted although an emergency policy was breached."
                    ),
                ),
                ("approved_by", models.CharField(blank=True, help_text="Who approved that.", max_length=200)),
            ],
            options={
                "verbose_name": "emergency stop",
                "ordering": ("-engaged_at", "-id"),
                "default_permissions": ("add", "change", "view"),
                "indexes": [
                    models.Index(fields=["engaged_at", "id"], name="emergency_stop_time"),
                    models.Index(
                        condition=models.Q(("lifted_at", None)),
                        fields=["scope", "scope_id"],
                        name="emergency_stop_in_force",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("scope__in", ["global", "exchange", "account", "strategy", "symbol"])),
                        name="emergency_stop_scope",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("trigger__in", ["person", "policy", "breaker", "lease", "drill", "recovery"])
                        ),
                        name="emergency_stop_trigger",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["blocked", "cancelled", "unwinding", "flat", "completed"])),
                        name="emergency_stop_status",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["REDUCING", "HALTED"])), name="emergency_stop_state"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("scope", "global"), ("scope_id", "")),
                            models.Q(
                                models.Q(("scope", "global"), _negated=True), models.Q(("scope_id", ""), _negated=True)
                            ),
                            _connector="OR",
                        ),
                        name="emergency_stop_scope_id",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("lifted_at", None),
                            models.Q(
                                models.Q(("lifted_by", ""), _negated=True),
                                models.Q(("lifted_reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="emergency_stop_lifted",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("approved_by", ""), ("forced", False)),
                            models.Q(("forced", True), models.Q(("approved_by", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="emergency_stop_forced",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RecordKeeping",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("life", models.CharField(blank=True, max_length=64)),
                ("beat_at", models.DateTimeField(null=True)),
                ("doubt_since", models.DateTimeField(null=True)),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="emergency_keeping_single")],
            },
        ),
        migrations.CreateModel(
            name="StopAccount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account_id", models.CharField(max_length=64)),
                ("account_version", models.BigIntegerField()),
                ("state", models.TextField(blank=True, help_text="Empty: none was ever reported.")),
                (
                    "stop",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="accounts",
                        to="emergency.emergencystop",
                    ),
                ),
            ],
            options={
                "ordering": ("stop", "account_id"),
                "abstract": False,
                "default_permissions": ("view",),
                "constraints": [models.UniqueConstraint(fields=("stop", "account_id"), name="emergency_account_once")],
            },
        ),
        migrations.CreateModel(
            name="StopStep",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("at", models.DateTimeField(help_text="On the live state's clock.")),
                ("what", models.CharField(max_length=32)),
                ("detail", models.TextField(blank=True)),
                (
                    "stop",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="steps", to="emergency.emergencystop"
                    ),
                ),
            ],
            options={
                "ordering": ("at", "id"),
                "abstract": False,
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["stop", "at", "id"], name="emergency_step_time")],
            },
        ),
    ]
