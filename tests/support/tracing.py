"""Only tests of riskcore are traced, whose every branch they take: all others would take more than half as long again.

A plugin, loaded by pyproject.toml. It does something only in a run that measures coverage.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from coverage import Coverage

_TRACED = Path(__file__).parents[1] / "riskcore"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Let a worker measure once: pytest-cov begins there as in a run of its own, and then as in a worker."""
    begun = Coverage.current()
    if hasattr(session.config, "workerinput") and begun is not None:
        begun.stop()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Pause the measurement for a test that is not of riskcore, with everything that it sets up."""
    plugin = item.config.pluginmanager.getplugin("_cov")
    controller = plugin.cov_controller if plugin is not None else None
    if controller is None or _is_measured(item) or item.get_closest_marker("no_cover"):  # which pytest-cov looks after
        return (yield)
    controller.pause()
    try:
        return (yield)
    finally:
        controller.resume()


def _is_measured(item: pytest.Item) -> bool:
    """Return whether it is a test of one fact of riskcore; hundreds of examples reach nothing that these do not."""
    return item.path.is_relative_to(_TRACED) and not getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
