"""The second factor of people, and the codes that stand in for it. Neither can be read out of the database."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models


class SecondFactor(models.Model):
    """The app on somebody's phone that shows a new code every 30 seconds.

    What app and server share is worked out of `salt` and the installation's secret key (`access.totp`): whoever has
    the database alone has no codes.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="second_factor")
    salt = models.CharField(max_length=64)
    since = models.DateTimeField(help_text="When its first code was given.")
    last_step = models.BigIntegerField(help_text="Half minutes since 1970 of the last code that was taken.")
    failures = models.PositiveIntegerField(default=0, help_text="Wrong codes in a row, from wherever.")
    failed_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"second factor of {self.user}"


class RecoveryCode(models.Model):
    """A code that is good once, for the day on which the phone is lost. Only its digest is kept."""

    factor = models.ForeignKey(SecondFactor, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=("factor", "digest"), name="access_recovery_code_once")]

    def __str__(self) -> str:
        return f"recovery code of {self.factor.user}"
