"""Ids of decisions, which sort by the time at which they were taken."""

from __future__ import annotations

from state.ids import new_id as new_decision_id

__all__ = ["new_decision_id"]
