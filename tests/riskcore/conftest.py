"""What every test of riskcore starts with: a process that has not read anything yet."""

from __future__ import annotations

import pytest

from riskcore import case, figures, ledger, unmoved


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Forget the records that other tests decoded: what a test reaches must not depend on their order."""
    case._states.clear()
    figures._legs.clear()
    unmoved._known.clear()
    ledger._ledgers.clear()
    ledger._texts.clear()
