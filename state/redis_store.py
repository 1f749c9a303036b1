"""The live state in Redis: RedisStore for threads, AsyncRedisStore for the tasks of an event loop."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from riskcore.ports import Commit, Committed, Control, Load, Loaded, Stop
from riskcore.types import Price, Reservation, RiskLevel
from state import keys
from state.bars import BARS_LIFE_S
from state.changes import Changed
from state.keys import own_suffix
from state.redis_bars import RedisBars
from state.redis_changes import RedisChanges
from state.redis_codec import (
    decode_committed,
    decode_firm_part,
    decode_loaded,
    decode_prices,
    decode_reservations,
    encode_commit,
    encode_load,
    encode_price,
)
from state.redis_connections import RedisConnections
from state.redis_control import RedisControl, Run
from state.redis_pipeline import RedisPipeline
from state.redis_restart import recognise, recognise_async
from state.redis_scripts import (
    COMMIT,
    FORGET,
    HOLD_LEASE,
    IS_USED,
    JOURNAL_LIFE,
    KEEP_BOOK,
    LOAD,
    PUT_FIRM_PART,
    PUT_PRICES,
    PUT_SIGNAL,
    RETIRE,
    SWAP_OMS_LEASE,
    Script,
)
from state.redis_wire import Argument, Refused, bulk_timeout_s, pack
from state.requests import lane_of_commit, lane_of_load
from state.store import StopsInForce

# Checks wait while a script runs: some three milliseconds for so many on a slow machine.
_PRICES_AT_ONCE = 250


class RedisStore:
    """The live state in Redis, from threads: one connection each. See state.store.Store.

    Parameters
    ----------
    url
        redis://, rediss:// or unix://.
    lanes
        How many parts the accounts are kept in. All processes must say the same number.
    timeout_s
        How long a check's command may take; those that move much data have two seconds at least.
    """

    def __init__(self, url: str, *, lanes: int = 1, timeout_s: float) -> None:
        self._checks = RedisConnections(url, timeout_s=timeout_s)
        self._bulk = RedisConnections(url, timeout_s=bulk_timeout_s(timeout_s))
        self._prefixes = [keys.prefix(lane) for lane in range(lanes)]
        self._bars = RedisBars(self._bulk.execute, self._run)
        self._changes = RedisChanges(self._bulk, self._run, lanes)
        self._control = RedisControl(lanes, self._checks.execute, self._run, self._run_all, self.journal_lanes)

    @property
    def lanes(self) -> int:
        return len(self._prefixes)

    def lane_of(self, account_id: str) -> int:
        return keys.lane_of(account_id, self.lanes)

    def load(self, load: Load) -> Loaded:
        lane = lane_of_load(load, self.lanes)
        return decode_loaded(self._run(LOAD, lane, (encode_load(load),), harmless=True), load, self.lanes)

    def commit(self, commit: Commit) -> Committed | Loaded:
        lane = lane_of_commit(commit, self.lanes)
        return decode_committed(self._run(COMMIT, lane, encode_commit(commit)), commit, self.lanes)

    def control(self) -> Control | None:
        return self._control.read()

    def stops(self) -> tuple[int, tuple[Stop, ...]]:
        return self._control.stops()

    def set_stops(
        self, stops: Sequence[Stop], *, expected_epoch: int | None = None, notes: Mapping[str, bytes] | None = None
    ) -> int:
        return self._control.set_stops(stops, expected_epoch, notes or {})

    def raise_stop(
        self, stop: Stop, note: bytes, *, unless: Sequence[Stop] = (), ignoring: Sequence[str] = ()
    ) -> StopsInForce:
        return self._control.raise_stop(stop, note, unless, ignoring)

    def stop_notes(self, *names: str) -> dict[str, bytes]:
        return self._fields_of(keys.STOP_NOTES, names)

    def put_stop_notes(self, notes: Mapping[str, bytes]) -> None:
        for name, note in notes.items():
            self._bulk.execute("HSET", self._key(keys.STOP_NOTES), name, note)

    def drop_stop_notes(self, *names: str) -> None:
        if names:
            self._bulk.execute("HDEL", self._key(keys.STOP_NOTES), *names)

    def publish_book(self, version: int, content: bytes) -> int:
        self._keep_book(version, content)
        return self._control.publish(version)

    def fetch_book(self, version: int) -> bytes | None:
        content: bytes | None = self._bulk.execute("HGET", self._key(keys.BOOKS), version, harmless=True)
        return content

    def restore(self, *, book_version: int, content: bytes, stops: Sequence[Stop], keys: bytes) -> str:
        self._keep_book(book_version, content)
        self.put_keys(keys)
        return self._control.restore(book_version, stops, self._has_book)

    def put_signal(self, risk_level: RiskLevel, *, action_required: bool, token: int) -> bool:
        arguments = (token, risk_level.value, "true" if action_required else "false")
        written = [self._run(PUT_SIGNAL, lane, arguments) for lane in range(self.lanes)]
        return all(written)

    def put_firm_part(self, name: str, content: bytes, *, token: int) -> bool:
        return bool(self._run(PUT_FIRM_PART, 0, (name, token, content)))

    def firm_parts(self, *names: str) -> dict[str, tuple[int, bytes]]:
        return {name: decode_firm_part(text) for name, text in self._fields_of(keys.FIRM_PARTS, names).items()}

    def hold_lease(self, name: str, holder: str, life_us: int) -> int | None:
        return int(self._run(HOLD_LEASE, 0, (name, holder, life_us))) or None

    def oms_leases(self, *names: str) -> dict[str, bytes]:
        return self._fields_of(keys.OMS_LEASES, names)

    def swap_oms_lease(self, name: str, expected: bytes | None, content: bytes | None) -> bool:
        return bool(self._run(SWAP_OMS_LEASE, 0, (name, expected or b"", content or b"")))

    def put_prices(self, prices: Mapping[str, tuple[str, int]]) -> int:
        records = [encode_price(symbol, text, sent_at_us) for symbol, (text, sent_at_us) in prices.items()]
        written = 0
        for first in range(0, len(records), _PRICES_AT_ONCE):
            arguments = [part for record in records[first : first + _PRICES_AT_ONCE] for part in record]
            lives = (BARS_LIFE_S, *[0] * (self.lanes - 1))  # bars are kept in the first lane
            written += max(self._run(PUT_PRICES, lane, (life, *arguments)) for lane, life in enumerate(lives))
        return written

    def prices(self, symbols: Iterable[str]) -> dict[str, Price]:
        wanted = tuple(symbols)
        if not wanted:
            return {}
        return decode_prices(self._checks.execute("HMGET", self._key(keys.PRICES), *wanted, harmless=True))

    def all_prices(self) -> dict[str, Price]:
        return decode_prices(self._bulk.execute("HVALS", self._key(keys.PRICES), harmless=True))

    @property
    def bars(self) -> RedisBars:
        return self._bars

    def account_ids(self) -> tuple[str, ...]:
        return tuple(sorted(self._account_ids()))

    def _account_ids(self) -> Iterator[str]:
        for lane in range(self.lanes):
            yield from self._accounts_in(lane)

    def _accounts_in(self, lane: int) -> Iterator[str]:
        for account_id in self._bulk.execute("SMEMBERS", keys.prefix(lane) + keys.ACCOUNTS, harmless=True):
            yield account_id.decode()

    def reservations(self, account_id: str) -> tuple[Reservation, ...]:
        return self._reservations_in(self.lane_of(account_id), account_id)

    def _reservations_in(self, lane: int, account_id: str) -> tuple[Reservation, ...]:
        key = keys.prefix(lane) + keys.RESERVATIONS + account_id
        return decode_reservations(self._bulk.execute("HVALS", key, harmless=True))

    def changed(self, generation: str, known: Mapping[str, str]) -> Iterator[Changed]:
        return self._changes.read(generation, known)

    def put_keys(self, content: bytes) -> None:
        self._bulk.execute("SET", self._key(keys.KEYS), content)

    def fetch_keys(self) -> bytes | None:
        content: bytes | None = self._bulk.execute("GET", self._key(keys.KEYS), harmless=True)
        return content

    def read_journal(self, lane: int, after: str, count: int) -> list[tuple[str, bytes]]:
        entries = self._bulk.execute(
            "XRANGE", keys.prefix(lane) + keys.JOURNAL, f"({after}", "+", "COUNT", count, harmless=True
        )
        return [(entry_id.decode(), fields[1]) for entry_id, fields in entries]

    def trim_journal(self, lane: int, through: str) -> None:
        time_ms, _, number = through.partition("-")
        following = f"{time_ms}-{int(number or 0) + 1}"
        self._bulk.execute("XTRIM", keys.prefix(lane) + keys.JOURNAL, "MINID", "=", following)

    def journal_lanes(self) -> int:
        lanes = self.lanes
        while self._is_used(lanes):
            lanes += 1
        return lanes

    def _is_used(self, lane: int) -> bool:
        return bool(self._run(IS_USED, lane, (), harmless=True))

    def claim_lanes(self) -> str:
        used = range(self.journal_lanes())
        name = uuid.uuid4().hex
        claim, *_ = [self._run(RETIRE, lane, (self.lanes, name)) for lane in used]  # the first lane's is the one
        for lane in used:
            for account_id in self._accounts_in(lane):
                if self.lane_of(account_id) != lane:
                    held = self._reservations_in(lane, account_id)
                    self._run(FORGET, lane, (account_id, *{own_suffix(one) for one in held}))
        return str(claim, "ascii")

    def journal_length(self, lane: int) -> int:
        length: int = self._checks.execute("XLEN", keys.prefix(lane) + keys.JOURNAL, harmless=True)
        return length

    def journal_generation(self, lane: int) -> str:
        name: bytes = self._run(JOURNAL_LIFE, lane, (uuid.uuid4().hex,), harmless=True)
        return name.decode()

    def ping(self) -> None:
        self._checks.execute("PING", harmless=True)

    def warnings(self) -> list[str]:
        persistence = self._info("persistence")
        policy = self._info("memory").get("maxmemory_policy", "unknown")
        found = []
        if policy != "noeviction":
            found.append(
                f"Redis evicts keys when its memory is full (maxmemory-policy {policy}): it may forget stops"
                " and reservations. Set maxmemory-policy noeviction."
            )
        if persistence.get("aof_enabled") != "1":
            found.append(
                "Redis keeps no append-only file: a restart loses reservations and decisions that are not in"
                " the database yet. Set appendonly yes."
            )
        elif persistence.get("aof_last_write_status") != "ok":
            found.append("Redis cannot write its append-only file: see its log and the free space of its disk.")
        return [*found, *self._lane_warnings()]

    def _lane_warnings(self) -> Iterator[str]:
        written_for = self._control.written_for()
        if written_for not in ("", str(self.lanes)):
            yield (
                f"The live state was restored with RISK_LANES={written_for}, and this process has"
                f" RISK_LANES={self.lanes}: it approves nothing. Stop every process of the other number."
            )
        for lane in range(self.lanes, self.journal_lanes()):
            if left := self.journal_length(lane):
                yield (
                    f"The journal of lane {lane}, which RISK_LANES={self.lanes} does not have, holds {left} entries"
                    " that are not in the database. Run with the earlier RISK_LANES until the lag is 0."
                )

    def close(self) -> None:
        self._checks.close()
        self._bulk.close()

    def _run(self, script: Script, lane: int, arguments: Sequence[Argument], *, harmless: bool = False) -> Any:
        execute, prefix = self._checks.execute, keys.prefix(lane)
        try:
            return execute("EVALSHA", script.digest, 1, prefix, *arguments, harmless=harmless)
        except Refused as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        # All lanes first: they may be in one Redis, which then knows the script for each of them.
        recognise(execute, self._prefixes)
        return execute("EVAL", script.text, 1, prefix, *arguments, harmless=harmless)

    def _run_all(self, runs: Sequence[Run]) -> list[Any]:
        """Run scripts that may be repeated, all of them in one trip, and return what they reply.

        They are sent whole. Stops are rare: mostly Redis has not seen these scripts since it was started.
        """
        commands = [("EVAL", script.text, 1, keys.prefix(lane), *arguments) for script, lane, arguments in runs]
        return self._checks.read_all(commands) if commands else []

    def _keep_book(self, version: int, content: bytes) -> None:
        self._run(KEEP_BOOK, 0, (version, content, keys.BOOKS_KEPT))

    def _has_book(self, version: int) -> bool:
        return bool(self._bulk.execute("HEXISTS", self._key(keys.BOOKS), version, harmless=True))

    def _fields_of(self, name: str, fields: tuple[str, ...]) -> dict[str, bytes]:
        """Return those of the fields of a hash that are there, all of them where none is named."""
        key = self._key(name)
        if fields:
            found = zip(fields, self._bulk.execute("HMGET", key, *fields, harmless=True), strict=True)
            return {field: content for field, content in found if content is not None}
        flat = iter(self._bulk.execute("HGETALL", key, harmless=True))
        return {field.decode(): content for field, content in zip(flat, flat, strict=True)}

    def _key(self, name: str) -> str:
        """Return the key of what only the first lane has, or has like all others."""
        return self._prefixes[0] + name

    def _info(self, section: str) -> dict[str, str]:
        lines = self._checks.execute("INFO", section, harmless=True).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


class AsyncRedisStore:
    """The live state in Redis, from the tasks of one event loop: one connection for all of them.

    See state.store.AsyncStore; parameters as for RedisStore.
    """

    def __init__(self, url: str, *, lanes: int = 1, timeout_s: float) -> None:
        self._pipeline = RedisPipeline(url, timeout_s=timeout_s)
        self._bulk_s = bulk_timeout_s(timeout_s)
        self._prefixes = [keys.prefix(lane) for lane in range(lanes)]

    @property
    def lanes(self) -> int:
        return len(self._prefixes)

    def lane_of(self, account_id: str) -> int:
        return keys.lane_of(account_id, self.lanes)

    async def load(self, load: Load) -> Loaded:
        lane = lane_of_load(load, self.lanes)
        return decode_loaded(await self._run(LOAD, lane, (encode_load(load),)), load, self.lanes)

    async def commit(self, commit: Commit) -> Committed | Loaded:
        lane = lane_of_commit(commit, self.lanes)
        return decode_committed(await self._run(COMMIT, lane, encode_commit(commit)), commit, self.lanes)

    async def fetch_book(self, version: int) -> bytes | None:
        content: bytes | None = await self._pipeline.execute(
            "HGET", self._prefixes[0] + keys.BOOKS, version, timeout_s=self._bulk_s
        )
        return content

    async def fetch_keys(self) -> bytes | None:
        content: bytes | None = await self._pipeline.execute(
            "GET", self._prefixes[0] + keys.KEYS, timeout_s=self._bulk_s
        )
        return content

    async def ping(self) -> None:
        await self._pipeline.execute("PING")

    async def close(self) -> None:
        await self._pipeline.close()

    async def _run(self, script: Script, lane: int, arguments: Sequence[Argument]) -> Any:
        pipeline, prefix = self._pipeline, self._prefixes[lane]
        connection = pipeline.connection or await pipeline.connected()
        command = pack(("EVALSHA", script.digest, 1, prefix, *arguments))
        try:
            return await connection.send(command, pipeline.timeout_s)
        except Refused as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        await recognise_async(pipeline.execute, self._prefixes)
        return await pipeline.execute("EVAL", script.text, 1, prefix, *arguments)
