"""What of the accounts' states outlives the live state."""

from __future__ import annotations

from django.db import models


class AccountBaseline(models.Model):
    """The last state of an account that was kept: its peak and its equity at the day's and week's start.

    `state` is the JSON of riskcore.types.AccountState, `at` when it was received.
    """

    account_id = models.CharField(max_length=64, primary_key=True)
    state = models.TextField()
    at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering = ("account_id",)

    def __str__(self) -> str:
        return f"{self.account_id} at {self.at:%Y-%m-%d %H:%M:%S} UTC"
