"""What runs by the clock."""

from __future__ import annotations

from celery import shared_task
from django.contrib.sessions.models import Session
from django.utils import timezone


@shared_task(name="access.clear_sessions", ignore_result=True)
def clear_sessions() -> None:
    """Delete the sessions that have run out: nobody comes back to them. Every hour."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
