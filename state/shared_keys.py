"""Writes keys that other programs read (state.keys says which), each with a moment at which it ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import redis

from state.redis_wire import bulk_timeout_s
from state.store import StateUnavailable

_TOGETHER = 500
_MS = 1000


class SharedText(NamedTuple):
    """A key that holds text, until `ends_at_us` on Redis' clock."""

    name: str
    text: bytes | str
    ends_at_us: int


class SharedKeys:
    """Writes into one database of Redis, for any thread. Every method raises StateUnavailable.

    Parameters
    ----------
    url
        redis://, rediss:// or unix://. Redis 6.2 or newer.
    timeout_s
        How long a check's command may take; what is written here moves much data, and has two seconds at least.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        bulk_s = bulk_timeout_s(timeout_s)
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=bulk_s, socket_connect_timeout=bulk_s)

    def now_us(self) -> int:
        """Return Redis' clock, in microseconds since the epoch."""
        seconds, microseconds = self._do("TIME")
        return int(seconds) * 1_000_000 + int(microseconds)

    def take_turn(self, name: str, *, longest_ms: int) -> bool:
        """Return whether it is our turn, which ends with `end_turn` or after `longest_ms`."""
        return self._do("SET", name, "1", "NX", "PX", longest_ms) is not None

    def end_turn(self, name: str) -> None:
        """Let others have their turn."""
        self._do("DEL", name)

    def write(self, keys: Iterable[SharedText]) -> int:
        """Write keys, some hundred in a trip, and return how many."""
        written = 0
        commands: list[tuple[Any, ...]] = []
        for key in keys:
            commands.append(("SET", key.name, key.text, "PXAT", key.ends_at_us // _MS))
            if len(commands) == _TOGETHER:
                self._do_all(commands)
                commands = []
            written += 1
        self._do_all(commands)
        return written

    def write_fields(self, name: str, fields: Mapping[str, str], *, ends_at_us: int) -> None:
        """Write a hash of these fields and no others, all at once."""
        flat = [part for field in fields.items() for part in field]
        commands = [("DEL", name), ("HSET", name, *flat), ("PEXPIREAT", name, ends_at_us // _MS)]
        self._do_all(commands, at_once=True)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _do(self, *command: Any) -> Any:
        try:
            return self._redis.execute_command(*command)
        except (redis.RedisError, OSError) as error:
            raise StateUnavailable(f"Redis cannot be written: {error}") from error

    def _do_all(self, commands: Iterable[tuple[Any, ...]], *, at_once: bool = False) -> None:
        try:
            with self._redis.pipeline(transaction=at_once) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                pipeline.execute()
        except (redis.RedisError, OSError) as error:
            raise StateUnavailable(f"Redis cannot be written: {error}") from error
