"""The process that serves browsers gives way to those that answer orders."""

from __future__ import annotations

import os

from riskportal import serve


def test_live_pages_give_way_before_they_are_served(monkeypatch):
    done: list[object] = []
    monkeypatch.setattr(os, "nice", done.append)
    monkeypatch.setattr(serve, "_serve_asgi", done.append)
    serve.live()
    niceness, port = done
    assert isinstance(niceness, int)
    assert niceness > 0
    assert port == 8105
