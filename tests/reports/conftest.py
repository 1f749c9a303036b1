"""What tests of reports start from: the same books and live states as tests of policies."""

from __future__ import annotations

from tests.policies.conftest import defaults, live

__all__ = ["defaults", "live"]
