"""What tests of reports start from: the same books and live states as tests of policies and of pages."""

from __future__ import annotations

from tests.dashboard.conftest import vera, world
from tests.policies.conftest import defaults, live

__all__ = ["defaults", "live", "vera", "world"]
