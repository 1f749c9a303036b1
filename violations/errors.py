"""Why something asked of an alert was refused, apart from values out of range (Django's ValidationError, by field)."""

from __future__ import annotations

from datetime import datetime


class AlertError(Exception):
    """What was asked for was refused; the text is for the person who asked."""


class NoSuchAlert(AlertError):
    """There is no such alert."""

    def __init__(self, alert_id: object) -> None:
        super().__init__(f"There is no alert {alert_id}.")


class AlreadyAcknowledged(AlertError):
    """Somebody has acknowledged the alert before."""

    def __init__(self, who: str, at: datetime) -> None:
        super().__init__(f"{who} acknowledged this alert at {at:%Y-%m-%d %H:%M:%S} UTC; it is as they left it.")
