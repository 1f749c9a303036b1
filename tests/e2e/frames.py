"""Frames of /ws/risk/ as decision 0027 has them, and a socket that sends them to a page in the server's place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, WebSocketRoute

Rows = dict[str, dict[str, Any]]


def moment(ago_s: float = 0.0) -> str:
    """Return the moment so many seconds ago, as frames have it."""
    return (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat().replace("+00:00", "Z")


def limit(name: str, utilisation: str | None, **more: Any) -> dict[str, Any]:
    """Return a limit of the picture."""
    return {
        "name": name,
        "type": "hard",
        "metric": "leverage",
        "operator": "<=",
        "threshold": "10",
        "scope": "global",
        "account_id": "desk-1",
        "symbol": None,
        "value": None if utilisation is None else str(float(utilisation) * 10),
        "utilisation": utilisation,
        "holds": utilisation is not None and float(utilisation) <= 1,
        **more,
    }


def account(score: int | None = 20, **more: Any) -> dict[str, Any]:
    """Return an account of the picture."""
    level = "UNKNOWN" if score is None else "CRITICAL" if score >= 90 else "WARNING" if score >= 75 else "INFO"
    return {
        "risk_level": level,
        "risk_score": None if score is None else str(score),
        "binding": "Max Account Leverage",
        "state": "ACTIVE",
        "equity": "100000",
        "gross_exposure": "250000",
        "leverage": "2.5",
        "daily_pnl": "-1200.5",
        "drawdown_daily": "0.012",
        "open_positions": 3,
        **more,
    }


def alert(message: str, level: str = "critical", state: str = "firing", **more: Any) -> dict[str, Any]:
    """Return an alert of the picture."""
    return {
        "level": level,
        "state": state,
        "account_id": "desk-1",
        "symbol": None,
        "exchange": None,
        "policy_id": "p-1",
        "policy_name": "Max Account Leverage",
        "policy_type": "hard",
        "metric": "leverage",
        "operator": "<=",
        "metric_value": "11.2",
        "threshold_value": "10",
        "message": message,
        "violation_id": 1,
        "timestamp": moment(90),
        "published_at": moment(90),
        "times_published": 1,
        **dict.fromkeys(("acknowledged_by", "acknowledged_at", "note", "silenced_by", "silenced_at")),
        **dict.fromkeys(("silenced_until", "silence_reason", "resolved_at")),
        **more,
    }


def violation(name: str, *, closed: bool = False, **more: Any) -> dict[str, Any]:
    """Return a violation of the picture."""
    return {
        "kind": "episode",
        "account_id": "desk-1",
        "symbol": None,
        "exchange": None,
        "policy_id": "p-1",
        "policy_name": name,
        "policy_type": "hard",
        "metric": "leverage",
        "operator": "<=",
        "policy_version": 3,
        "threshold": "10",
        "value": "11.2",
        "utilisation": "1.12",
        "worst_value": "12.4",
        "worst_utilisation": "1.24",
        "worst_at": moment(60),
        "message": f"{name}: leverage 11.2 breaks <= 10",
        "observations": 44,
        "opened_at": moment(120),
        "last_at": moment(1),
        "closed_at": moment(30) if closed else None,
        "order_id": None,
        "decision_id": None,
        **more,
    }


def stop(reason: str, **more: Any) -> dict[str, Any]:
    """Return a stop of the picture."""
    return {
        "scope": {"type": "global", "id": ""},
        "state": "HALTED",
        "reason": reason,
        "triggered_by": "olga",
        "trigger": "person",
        "engaged_at": moment(200),
        "unwind": False,
        "status": "blocked",
        "given_up": False,
        "residuals": [],
        "progress": {},
        **more,
    }


def firm(level: str = "INFO", score: str | None = "20", **more: Any) -> dict[str, Any]:
    """Return the firm of the picture."""
    return {
        "risk_level": level,
        "risk_score": score,
        "tier": "none",
        "action_required": False,
        "critical_issues": [],
        "warnings": [],
        "equity": "300000",
        "metrics": {"gross_exposure": "750000", "drawdown_daily": "0.012", "var_95": "0.021"},
        "accounts": 3,
        "by_level": {"INFO": 3},
        "at": moment(),
        **more,
    }


def picture(**sections: Rows) -> dict[str, Rows]:
    """Return a picture of a calm firm, with these sections in the place of its own."""
    calm: dict[str, Rows] = {
        "firm": {"now": firm()},
        "trading": {"now": {"state": "ACTIVE", "stops": 0}},
        "stops": {},
        "limits": {"p-1": limit("Max Account Leverage", "0.2"), "p-2": limit("Min Margin Ratio", "0.1")},
        "accounts": {"desk-1": account(), "desk-2": account(12), "desk-3": account(5)},
        "alerts": {},
        "violations": {},
        "checks": {
            "now": {
                "per_s": 12.4,
                "approved": 700,
                "rejected": 44,
                "approval_rate": 0.941,
                "p50_us": 610,
                "p99_us": 2900,
                "by_reason": {"policy_violation": 40, "self_match": 4},
            }
        },
        "book": {"now": {"version": 4, "created_at": moment(4000), "actor": "alice", "reason": "First limits"}},
        "health": {
            "now": {
                "monitor_at": moment(),
                "monitor_age_ms": 200,
                "journal_lag_s": 0.1,
            }
        },
        "stale": {},
        "watched": {},
        "trouble": {},
    }
    return calm | sections


class FakeServer:
    """Answers /ws/risk/ of one page. What the page asked with is in `asked`, one entry for each connection."""

    def __init__(self, page: Page, begin: dict[str, Rows] | None = None) -> None:
        self.page, self.begin = page, picture() if begin is None else begin
        self.asked: list[dict[str, list[str]]] = []
        self.heard: list[Any] = []
        self.refuse: int | None = None
        self.n = 0
        self._route: WebSocketRoute | None = None
        page.route_web_socket(lambda url: urlsplit(url).path == "/ws/risk/", self._opened)

    def _opened(self, route: WebSocketRoute) -> None:
        self.asked.append(parse_qs(urlsplit(route.url).query))
        if self.refuse is not None:
            route.close(code=self.refuse)
            return
        self._route = route
        route.on_message(lambda text: self.heard.append(json.loads(text)))
        self.snapshot()

    def snapshot(self, **more: Any) -> None:
        """Send the whole picture."""
        self.send({"type": "snapshot", "stream": "s", "n": self.n, "at": moment(), "picture": self.begin, **more})

    def update(self, changes: dict[str, Any], **more: Any) -> None:
        """Send a difference, on top of the picture that was sent last unless `more` says otherwise."""
        before, self.n = self.n, self.n + 1
        frame = {"type": "update", "stream": "s", "n": self.n, "from": before, "at": moment(), "changes": changes}
        self.send(frame | more)

    def send(self, frame: Any) -> None:
        """Send a frame, or text as it is."""
        assert self._route is not None
        self._route.send(frame if isinstance(frame, str) else json.dumps(frame))

    def close(self, code: int = 1012) -> None:
        """Close the connection as a server does that restarts, or with another code."""
        assert self._route is not None
        self._route.close(code=code)
