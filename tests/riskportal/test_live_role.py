"""What else goes on gives way to orders: the process that serves browsers, and threads beside the loop of a door."""

from __future__ import annotations

import importlib
import os
import sys

from riskportal import serve

_PYTHONS_OWN_S = 0.005


def test_live_pages_give_way_before_they_are_served(monkeypatch):
    done: list[object] = []
    monkeypatch.setattr(os, "nice", done.append)
    monkeypatch.setattr(serve, "_serve_asgi", done.append)
    serve.live()
    niceness, port = done
    assert isinstance(niceness, int)
    assert niceness > 0
    assert port == 8105


def test_threads_beside_the_loop_that_answers_orders_take_short_turns():
    importlib.import_module("riskportal.asgi")
    assert sys.getswitchinterval() < _PYTHONS_OWN_S
