"""What a lost live state is told of the leases that it has forgotten."""

from __future__ import annotations

from django.db import models

from emergency.leases import LONGEST_HOLDER, OnSilence
from policies.validation import one_of


class LeaseRecord(models.Model):
    """A lease that an OMS holds, as it was asked for last. That it is renewed is in the live state alone."""

    holder = models.CharField(max_length=LONGEST_HOLDER, primary_key=True)
    accounts = models.JSONField()
    ttl_us = models.BigIntegerField()
    on_silence = models.CharField(max_length=16, choices=[(each.value, each.value) for each in OnSilence])
    actor = models.CharField(max_length=200)
    granted_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [one_of("on_silence", OnSilence, "lease_on_silence")]

    def __str__(self) -> str:
        return self.holder
