"""Who may ask: the keys that are good, as every process keeps them, never older than a second.

A key travels as `rp_ID_SECRET`. Its id finds the record, its secret is compared in constant time with the SHA-256
that is kept. The records are published to the live state as one blob; a process reads the blob again before its
copy is half a second old, and lets nobody in on a copy older than a second.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import threading
import time
from typing import Protocol

import msgspec
from msgspec import Struct

from api.errors import Problem, keys_unknown, no_key, recovering, too_many, wrong_key
from api.grants import spelled_out
from api.key_uses import USES, KeyOutcome
from api.throttle import RateLimits
from audit.acting import Acting, with_key
from state.store import StateUnavailable

# Seconds: when the copy is read again, when it is not good any more, and the pause after a failed reading.
REFRESH_S = 0.5
LIFE_S = 1.0
PAUSE_S = 0.1

_NOBODY = hashlib.sha256(b"").hexdigest()


class KeyRecord(Struct, frozen=True, kw_only=True):
    """A good API key as doors know it.

    `digest` is the SHA-256 (hex) of its secret. `permissions` are Django's names; as it is published, words stand in
    their place (api.grants). `accounts` are those it is for; none named: all. `holder` is the person who uses it,
    empty: a machine. `expires_at_us` 0: never. `per_second` is how often it may ask, 0: as often as it likes.
    """

    id: str
    name: str
    digest: str
    permissions: frozenset[str]
    accounts: frozenset[str] = frozenset()
    holder: str = ""
    expires_at_us: int = 0
    per_second: int = 0

    @property
    def actor(self) -> str:
        """Return how the key is named in the audit log."""
        return with_key(self.holder, self.name)

    @property
    def acting(self) -> Acting:
        """Return who acts, as services ask for it."""
        return Acting(self.actor, self.permissions, self.accounts, self.holder)

    @property
    def is_authenticated(self) -> bool:
        """Return True, for Django: whoever has a record was let in by it."""
        return True

    def may(self, permission: str) -> bool:
        """Return whether the key has a permission."""
        return permission in self.permissions

    def may_see(self, account_id: str) -> bool:
        """Return whether the key is for an account."""
        return not self.accounts or account_id in self.accounts


_decoder = msgspec.json.Decoder(tuple[KeyRecord, ...])
_encoder = msgspec.json.Encoder(order="sorted")


def encode_records(records: tuple[KeyRecord, ...]) -> bytes:
    """Return the blob that the live state keeps; equal records give equal bytes."""
    return _encoder.encode(sorted(records, key=lambda record: record.id))


def _spelled_out(record: KeyRecord) -> KeyRecord:
    return msgspec.structs.replace(record, permissions=spelled_out(record.permissions))


class KeySource(Protocol):
    """As much of a store as brings the keys to threads."""

    def fetch_keys(self) -> bytes | None: ...


class AsyncKeySource(Protocol):
    """As much of a store as brings the keys to tasks."""

    async def fetch_keys(self) -> bytes | None: ...


class _Copy:
    """This process's copy of the good keys. Times in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._content: bytes | None = None
        self._records: dict[str, KeyRecord] = {}
        self._read_at = -LIFE_S
        self._failed_at = -PAUSE_S
        self._limits = RateLimits()

    def admit(self, authorization: str) -> KeyRecord:
        """Return the key in an Authorization header. Raises Problem 401, or 429 where it asks too often.

        The copy must be fresh: call `refresh` first.
        """
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise no_key()
        prefix, _, rest = key.strip().partition("_")
        key_id, _, secret = rest.partition("_")
        record = self._records.get(key_id)
        digest = hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
        same = hmac.compare_digest(digest, _NOBODY if record is None else record.digest)
        if record is None:
            raise wrong_key()
        if not same or prefix != "rp" or 0 < record.expires_at_us <= time.time_ns() // 1000:
            USES.count(record.id, KeyOutcome.REFUSED)
            raise wrong_key()
        if record.per_second and not self._limits.take(record.id, record.per_second):
            USES.count(record.id, KeyOutcome.LIMITED)
            raise too_many(record.per_second)
        USES.count(record.id, KeyOutcome.ADMITTED)
        return record

    def _age_s(self) -> float:
        return time.monotonic() - self._read_at

    def _take(self, content: bytes | None, asked_at: float) -> None:
        """Take over what the store has. Raises Problem 503 where it has lost its memory."""
        if content is None:
            raise recovering()
        if content != self._content:
            try:
                records = _decoder.decode(content)
            except msgspec.MsgspecError:
                raise keys_unknown() from None
            self._records = {record.id: _spelled_out(record) for record in records}
            self._content = content
        self._read_at = asked_at

    def _may_try(self) -> bool:
        return time.monotonic() - self._failed_at >= PAUSE_S


class KeyRing(_Copy):
    """The good keys, for threads."""

    def __init__(self, store: KeySource) -> None:
        super().__init__()
        self._store = store
        self._reading = threading.Lock()

    def refresh(self) -> None:
        """Make sure of a copy not older than a second. Raises Problem 503 where none can be had."""
        age = self._age_s()
        if age < REFRESH_S:
            return
        # One thread reads; the others go on with what there is while that is good, and wait for it otherwise.
        if not self._reading.acquire(blocking=age >= LIFE_S):
            return
        try:
            if self._age_s() >= REFRESH_S and self._may_try():
                self._read()
        finally:
            self._reading.release()
        if self._age_s() >= LIFE_S:
            raise keys_unknown()

    def _read(self) -> None:
        asked_at = time.monotonic()
        try:
            content = self._store.fetch_keys()
        except StateUnavailable:
            self._failed_at = time.monotonic()
            return
        self._take(content, asked_at)


class AsyncKeyRing(_Copy):
    """The good keys, for the tasks of one event loop."""

    def __init__(self, store: AsyncKeySource) -> None:
        super().__init__()
        self._store = store
        self._reading: asyncio.Task[Problem | None] | None = None

    async def refresh(self) -> None:
        """Make sure of a copy not older than a second. Raises Problem 503 where none can be had."""
        age = self._age_s()
        if age < REFRESH_S:
            return
        if self._reading is None and self._may_try():
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._done)
        if age < LIFE_S:
            return
        problem = await asyncio.shield(self._reading) if self._reading is not None else None
        if problem is not None or self._age_s() >= LIFE_S:
            raise problem or keys_unknown()

    async def _read(self) -> Problem | None:
        asked_at = time.monotonic()
        try:
            self._take(await self._store.fetch_keys(), asked_at)
        except StateUnavailable:
            self._failed_at = time.monotonic()
        except Problem as problem:
            return problem
        return None

    def _done(self, _task: asyncio.Task[Problem | None]) -> None:
        self._reading = None
