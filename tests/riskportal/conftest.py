"""A live state on each kind of store, restored for the first time and fed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feeds.books import BOOKS
from policies.defaults import ensure_defaults
from policies.services import do_create_account
from riskportal.restore import Outcome, restore_if_empty
from state.wiring import forget_stores
from tests.riskportal.world import ACCOUNT, World
from tests.support.beginning import begin_with


@pytest.fixture(params=["redis", "memory"])
def empty(request, settings, tmp_path, transactional_db) -> Iterator[World]:
    """A live state that was never restored, and the policies of a new installation with one account."""
    url = request.getfixturevalue("clean_redis") if request.param == "redis" else ""
    settings.REDIS_URL, settings.RISK_DATA_DIR = url, tmp_path
    forget_stores()
    BOOKS.forget()
    begin_with("account", _rows)
    world = World(url, tmp_path)
    yield world
    world.store.close()
    forget_stores()
    BOOKS.forget()


@pytest.fixture
def world(empty: World) -> World:
    """The same, alive and fed."""
    assert restore_if_empty(empty.store).outcome is Outcome.RESTORED
    empty.feed()
    return empty


def _rows() -> None:
    ensure_defaults()
    do_create_account(actor="test", reason="test", account_id=ACCOUNT, profile="aggressive")
