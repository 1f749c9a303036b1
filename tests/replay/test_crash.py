"""A market that really fell, on a leveraged account: from the first warning to trading again, with nobody at the desk.

BTC on 20 and 21 January 2022, played 600 times as fast. Each part of riskportal is a process of its own; the simulated
OMS holds the position, and does what the stop asks of it. The timeline is written to the log: pytest -s shows it.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bench.installation import Installation, Rows
from bench.machine import ROOT
from bench.processes import Process
from bus.nats import NatsConnection
from devtools.nats_server import NatsServer
from devtools.servers import PostgresServer, RedisServer
from simulator.desks import Desk
from simulator.execution import CLOSE_ALL, Command
from simulator.oms import Oms
from simulator.orders import BUY, Fill
from simulator.peer import Plan, Reach, connected
from simulator.ticks import RecordedMarket
from tests.e2e.installation import Client, Program
from tests.races.houses import new_database
from tests.support.patience import PATIENT

FILE = ROOT.parent / "shared" / "data" / "btc_perp_1m_20211231_20220201.csv.gz"
BEGIN, END = "2022-01-20 21:30", "2022-01-21 20:00"
SPEED = 600.0
SYMBOL = "BTCUSDT"

# A long position of three times the equity. The other desk holds cash: the firm as a whole stays within its limits.
LEVERED, CALM = "levered", "calm"
EQUITY, LEVERAGE = Decimal(100_000), 3

STOP = "/risk/emergency-stop"
PATIENCE_S = 120.0

logger = logging.getLogger(__name__)

DRAWDOWNS = (("Warning", "soft", "0.10"), ("Max Drawdown", "hard", "0.20"), ("Emergency Drawdown", "emergency", "0.25"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FILE.exists(), reason=f"{FILE} is not there: the recordings are not part of the project"),
]


@dataclass
class House:
    """A whole riskportal that closes positions where an emergency policy is broken."""

    key: str
    nats: NatsServer
    web: Process

    def get(self, path: str, **query: str) -> Any:
        with Client(self.web.port, self.key) as client:
            answer = client.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        with Client(self.web.port, self.key) as client:
            answer = client.post(path, json=body)
        return answer.status_code, answer.json()

    def stops(self) -> list[dict[str, Any]]:
        return list(self.get(f"{STOP}/history")["results"])

    def alerts(self) -> list[dict[str, Any]]:
        return list(self.get("/risk/alerts", account=LEVERED)["results"])


@pytest.fixture
def house(postgres_server: PostgresServer) -> Iterator[House]:
    with ExitStack() as stack:
        redis, server = stack.enter_context(RedisServer()), stack.enter_context(NatsServer())
        installation = Installation(
            database_url=stack.enter_context(new_database(postgres_server)),
            redis_url=redis.url,
            nats_url=server.url,
            settings={"RISK_EMERGENCY_UNWIND": "true", "RISK_BREAKER_COUNT": "0", **PATIENT},
        )
        stack.callback(installation.close)
        key = installation.found(rows()).key
        environment = {**installation.environment, "RISK_HTTP_PORT": "{port}"}
        says = {"gateway": "connected to NATS", "feeds": "connected to NATS", "worker": "ready.", "web": ""}
        made = {
            role: stack.enter_context(Process(role, command(role), environment, says=sign))
            for role, sign in says.items()
        }
        beat = Program.start(*command("beat"), env=installation.environment, log=installation.data / "beat.log")
        stack.callback(beat.kill)
        yield House(key, server, made["web"])


def rows() -> Rows:
    profile = {
        "name": "levered",
        "allowed_leverage": "10",
        "max_single_trade_risk": "1",
        "max_daily_loss": "1",
        "max_weekly_loss": "1",
        "max_open_positions": 10,
    }
    policies = [
        {"name": name, "type": kind, "metric": "drawdown_max", "operator": "<=", "threshold": threshold}
        for name, kind, threshold in DRAWDOWNS
    ]
    accounts = [{"account_id": account_id, "profile": "levered"} for account_id in (LEVERED, CALM)]
    return Rows(defaults=False, profiles=[profile], policies=policies, accounts=accounts)


def command(role: str) -> list[str]:
    return [sys.executable, "-m", "riskportal.serve", role]


def stretch(folder: Path) -> Path:
    """Return the file with the part of the recording that is played."""
    found = folder / "fall.csv"
    with gzip.open(FILE, "rt", newline="") as lines, found.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("timestamp", "price"))
        writer.writerows(
            (row["timestamp"], row["close"]) for row in csv.DictReader(lines) if BEGIN <= row["timestamp"] < END
        )
    return found


@asynccontextmanager
async def trading(house: House, file: Path) -> AsyncIterator[Oms]:
    """An OMS that sends no orders of its own, with the levered position."""
    stop = threading.Event()
    market = RecordedMarket([file], symbol=SYMBOL, speed=SPEED)
    reach = Reach(house.key, bus=NatsConnection(house.nats.url, name="simulator"))
    async with connected(Plan((LEVERED, CALM), 0.001), reach, say=print, make_market=lambda _: market) as oms:
        for desk in oms._venue.desks.values():
            desk.holdings.clear()
        lever(oms._venue.desks[LEVERED], market.quotes[SYMBOL].mid)
        oms.hold()
        running = asyncio.create_task(oms.run(stop))
        try:
            yield oms
        finally:
            stop.set()
            await running


def lever(desk: Desk, price: Decimal) -> None:
    """Let a desk buy for three times its equity."""
    desk.deposit = EQUITY
    quantity = (desk.deposit * LEVERAGE / price).quantize(Decimal("0.001"))
    desk.take(Fill("begin", "begin", desk.account_id, SYMBOL, BUY, quantity, price, Decimal(0), 0))


class Timeline:
    """What happened and when, as it is printed."""

    def __init__(self) -> None:
        self._began = time.time()
        self.told: list[tuple[float, str, str]] = []

    def add(self, what: str, detail: str, at: str = "") -> None:
        moment = datetime.fromisoformat(at).timestamp() if at else time.time()
        self.told.append((moment - self._began, what, detail))

    def __str__(self) -> str:
        return "".join(f"\n{seconds:8.2f} s  {what:<18} {detail}" for seconds, what, detail in sorted(self.told))


async def until(look: Any, what: str) -> Any:
    """Look until there is something, and return it."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await asyncio.to_thread(look)):  # noqa: ASYNC110 - it is in another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}") from None
    return found


async def test_from_the_first_warning_to_trading_again(house: House, tmp_path: Path) -> None:
    timeline = Timeline()
    async with trading(house, stretch(tmp_path)) as oms:
        timeline.add("begin", f"{LEVERAGE} x long {SYMBOL} at {BEGIN}, {SPEED:g} times as fast")
        (stop,) = await until(house.stops, "the stop")
        assert (stop["scope"], stop["state"], stop["unwind"]) == ({"type": "account", "id": LEVERED}, "HALTED", True)
        await until(lambda: house.stops()[0]["status"] == "completed", "the unwinding")
        assert not oms.held(Command(CLOSE_ALL, "all"))
        (stop,) = house.stops()
        for step in stop["steps"]:
            timeline.add(step["what"], step["detail"], step["at"])
        alerts = sorted(house.alerts(), key=lambda alert: alert["timestamp"])
        levels = [(alert["level"], alert["policy_name"]) for alert in alerts]
        assert levels == [("warning", "Warning"), ("critical", "Max Drawdown"), ("emergency", "Emergency Drawdown")]
        for alert in alerts:
            timeline.add(f"{alert['level']} alert", alert["message"], alert["timestamp"])
        await re_arm(house, oms, stop["stop_id"], timeline)
    logger.warning("%s", timeline)
    what = [each for _, each, _ in sorted(timeline.told)]
    expected = ("warning alert", "critical alert", "in_force", "cancelled", "unwinding", "flat", "completed", "lifted")
    assert [each for each in what if each in expected] == list(expected)


async def re_arm(house: House, oms: Oms, stop_id: str, timeline: Timeline) -> None:
    """Nobody lifts it while the limit is broken; when money has come in, somebody does, and orders pass."""
    wanted = {"stop_id": stop_id, "authorized_by": "bob", "reason": "flat, and money has come in"}
    status, _ = house.post(f"{STOP}/re-enable", **wanted)
    assert status == 409
    timeline.add("refused", "to lift it while an emergency policy is broken")
    oms._venue.desks[LEVERED].deposit += EQUITY / 4
    await until(lambda: house.post(f"{STOP}/re-enable", **wanted)[0] == 200, "trading to be re-enabled")
    (stop,) = house.stops()
    (lifted,) = [step for step in stop["steps"] if step["what"] == "lifted"]
    timeline.add("lifted", lifted["detail"], lifted["at"])
    order = {"order_id": "after", "account_id": LEVERED, "symbol": SYMBOL, "side": "BUY", "quantity": "0.01"}
    status, decision = house.post("/risk/check", **order)
    assert (status, decision["approved"]) == (200, True), decision
    timeline.add("approved", "the next order")
