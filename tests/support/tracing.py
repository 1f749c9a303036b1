"""Only tests of riskcore are traced, whose every branch they take: all others would take more than half as long again.

A plugin, loaded by pyproject.toml. It does something only in a run that measures coverage.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

_TRACED = Path(__file__).parents[1] / "riskcore"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Pause the measurement for a test that is not of riskcore, with everything that it sets up."""
    plugin = item.config.pluginmanager.getplugin("_cov")
    controller = plugin.cov_controller if plugin is not None else None
    if controller is None or item.path.is_relative_to(_TRACED):
        return (yield)
    controller.pause()
    try:
        return (yield)
    finally:
        controller.resume()
