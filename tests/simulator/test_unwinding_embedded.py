"""A stop from HALTED to completed in one process without any server: over its own bus, by the simulated OMS."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.installation import embedded, wait_for

pytestmark = pytest.mark.slow

STOP = "/risk/emergency-stop"


def test_it_ends_flat(tmp_path):
    with embedded(tmp_path / "data") as made:
        made.start()
        with made.client() as client:
            wait_for(lambda: client.get("/stats").json()["active_positions"], what="positions")
            body = {"reason": "a test", "triggered_by": "alice", "unwind": True}
            stop_id = client.post(STOP, json=body).json()["stop_id"]

            def completed() -> dict[str, Any] | None:
                (shown,) = client.get(STOP).json()["results"]
                assert shown["stop_id"] == stop_id
                return dict(shown) if shown["status"] == "completed" else None

            shown = wait_for(completed, what="the end of the unwinding")
            assert shown is not None
            assert shown["residuals"] == []
            assert shown["progress"]["positions_closed"] > 0
            assert client.get("/risk/portfolio").json()["positions"] == []
