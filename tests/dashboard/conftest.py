"""A live state in memory with accounts, prices and a book, for pages that show it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dashboard.world import ALL, Reader, World, alive, signed_in
from tests.emergency import conftest as emergency
from tests.emergency.world import World as Trading


@pytest.fixture
def world(settings, tmp_path, transactional_db) -> Iterator[World]:
    """A live state on which orders are approved."""
    with alive(settings, tmp_path) as found:
        yield found


@pytest.fixture
def vera(transactional_db) -> Reader:
    """Somebody who may see and do everything, for every account."""
    return signed_in("vera", *ALL)


@pytest.fixture
def trading(request, settings, tmp_path, transactional_db) -> Iterator[Trading]:
    """A live state with accounts that have reported, to be stopped, fed and lost."""
    yield from emergency.alive(request, settings, tmp_path, "memory")
