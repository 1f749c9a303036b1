"""How a run is shared out to several processes: file by file, the slow ones first.

`--numprocesses` makes so many workers, each with servers and a database of its own. What stands on one house that
takes seconds to start goes to one worker together. A plugin, loaded by pyproject.toml.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

# Folders whose files share a house.
_TOGETHER = ("tests/gateway/", "tests/races/")

_ARE_ONE = "PYTEST_XDIST_WORKER"


def are_wanted(config: pytest.Config) -> bool:
    """Return whether this process has workers run the tests; a worker itself has none."""
    return bool(config.known_args_namespace.numprocesses) and _ARE_ONE not in os.environ


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Share the tests out file by file, unless another way than that of `--numprocesses` was asked for."""
    return _FileByFile(config, log) if config.getoption("dist") == "load" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let workers begin with the files of slow tests, else in their order: what begins last ends last.

    Tests of a whole installation share it with the others of their file, since it takes seconds to start, and tell its
    story in the order in which they are written; all others come in any order (pytest-randomly).
    """
    _in_written_order(items)
    if _ARE_ONE in os.environ:
        slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("fault")}
        items.sort(key=lambda item: item.path not in slow)


def _in_written_order(items: list[pytest.Item]) -> None:
    """Sort the slow tests of each file, each of which stays at a place where one of them was."""
    places: dict[Path, list[int]] = {}
    for place, item in enumerate(items):
        if item.get_closest_marker("slow"):
            places.setdefault(item.path, []).append(place)
    for found in places.values():
        told = sorted((items[place] for place in found), key=lambda item: item.reportinfo()[1] or 0)
        for place, item in zip(found, told, strict=True):
            items[place] = item


class _FileByFile(LoadScopeScheduling):  # type: ignore[misc] # xdist publishes no types
    """Gives a worker that has nothing left to do the next file, or the next house."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False  # in the order of the collection, not by how many tests a file has
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in _TOGETHER if file.startswith(folder)), file)
