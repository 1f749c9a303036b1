"""A live state with a book, accounts, prices and keys, and the two doors to it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from typing import Any, Protocol

from api import desk as desk_module
from api.asgi_door import CheckDoor
from api.grants import granted
from api.keyring import KeyRecord, encode_records
from api.rest.lean import LeanHandler
from feeds.apply import apply_report
from feeds.books import BOOKS
from riskcore.book import Parameters, Policy, Profile, encode_book
from riskcore.report import AccountReport
from riskcore.types import Position
from state.store import Store
from tests.riskcore import builders

ACCOUNTS = ("A", "B", "C")
SECRET = "s" * 64
CHECK, BATCH = "/risk/check", "/risk/check/batch"


def key_text(key_id: str = "oms", secret: str = SECRET) -> str:
    return f"rp_{key_id}_{secret}"


def bearer(key_id: str = "oms", secret: str = SECRET) -> dict[str, str]:
    return {"Authorization": f"Bearer {key_text(key_id, secret)}"}


def record(key_id: str = "oms", *words: str, **what: Any) -> KeyRecord:
    return KeyRecord(
        id=key_id,
        name=key_id,
        digest=hashlib.sha256(SECRET.encode()).hexdigest(),
        permissions=granted(words or ("check", "feed", "read", "operate"), None),
        **what,
    )


def put_keys(store: Store, *records: KeyRecord) -> None:
    store.put_keys(encode_records(records))


def swap_keys(store: Store, *records: KeyRecord) -> None:
    """Replace the keys, and have the documented doors see it at once."""
    put_keys(store, *records)
    desk_module._desk = None


def publish(store: Store, *policies: Policy, version: int = 1, **what: Any) -> None:
    """Give the store a book with these policies and the accounts, and the key `oms`."""
    fields: dict[str, Any] = {
        "parameters": Parameters(),
        "accounts": tuple(builders.account(name) for name in ACCOUNTS),
    }
    content = encode_book(builders.book(*policies, version=version, **{**fields, **what}))
    if version == 1:
        store.restore(book_version=1, content=content, stops=(), keys=encode_records((record(),)))
    else:
        store.publish_book(version, content)


def report(store: Store, account_id: str = "A", *positions: Position, equity: int = 1_000_000) -> None:
    state = AccountReport(
        account_id=account_id,
        equity=Decimal(equity),
        margin_used=Decimal(0),
        positions={held.symbol: held for held in positions},
    )
    assert apply_report(store, BOOKS, state)


def fill(store: Store, *policies: Policy) -> None:
    """Make everything ready for approvals in accounts A, B and C."""
    publish(store, *policies)
    store.put_prices({symbol: (price, 0) for symbol, price in builders.MARKS.items()})
    for name in ACCOUNTS:
        report(store, name)


def order(order_id: str = "o-1", **what: Any) -> dict[str, Any]:
    wanted = {"order_id": order_id, "account_id": "A", "symbol": "BTCUSDT", "side": "BUY", "quantity": "1"}
    return {name: value for name, value in {**wanted, "price": "50000", **what}.items() if value is not None}


def profile_of(**what: Any) -> Profile:
    return builders.profile(**what)


@dataclass
class Answer:
    """What a door answered; the names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> set[str]:
        """The fields that a problem names."""
        return {error["field"] for error in self.json.get("errors", ())}


Body = Mapping[str, Any] | bytes | Iterable[bytes]


class Door(Protocol):
    """A way to ask for checks. A body may be an object, bytes, or chunks without a length."""

    def post(self, path: str, body: Body, headers: Mapping[str, str] | None = None) -> Answer: ...


def _encoded(body: Body) -> tuple[bytes, bool]:
    if isinstance(body, bytes):
        return body, True
    if isinstance(body, Mapping):
        return json.dumps(body).encode(), True
    return b"".join(body), False


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {"Content-Type": "application/json", **(bearer() if headers is None else headers)}


def environ(
    method: str, path: str, body: bytes, headers: Mapping[str, str], *, measured: bool = True
) -> dict[str, Any]:
    """Return the WSGI environment of a request."""
    path, _, query = path.partition("?")
    found: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": BytesIO(),
    }
    if measured:
        found["CONTENT_LENGTH"] = str(len(body))
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        found[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return found


class WsgiDoor:
    """REST framework behind WSGI. `behind` is the WSGI application for all other addresses."""

    def __init__(self, behind: Any = None) -> None:
        self._application = LeanHandler(behind)

    def post(self, path: str, body: Body, headers: Mapping[str, str] | None = None) -> Answer:
        content, measured = _encoded(body)
        return self.send("POST", path, content, _headers(headers), measured=measured)

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, measured: bool = True) -> Answer:
        said: dict[str, Any] = {}

        def start_response(status: str, found: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
            said["status"] = int(status.split(maxsplit=1)[0])
            said["headers"] = {name.lower(): value for name, value in found}
            return lambda _data: None

        parts = self._application(environ(method, path, body, headers, measured=measured), start_response)
        content = b"".join(parts)
        return Answer(said["status"], said["headers"], content)


class AsgiDoor:
    """The raw door, on an event loop that lives as long as the door."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._application = CheckDoor(self._nothing)

    def post(self, path: str, body: Body, headers: Mapping[str, str] | None = None) -> Answer:
        content, measured = _encoded(body)
        return self._runner.run(self._post(path, content, _headers(headers), measured))

    def close(self) -> None:
        self._runner.run(self._close())
        self._runner.close()

    async def _post(self, path: str, body: bytes, headers: Mapping[str, str], measured: bool) -> Answer:
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        if measured:
            raw.append((b"content-length", b"%d" % len(body)))
        chunks = [body[at : at + 65_536] for at in range(0, len(body), 65_536)] or [b""]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._application({"type": "http", "method": "POST", "path": path, "headers": raw}, receive, send)
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, b"".join(each["body"] for each in sent[1:]))

    async def _close(self) -> None:
        from state.wiring import async_store

        await async_store().close()

    @staticmethod
    async def _nothing(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
