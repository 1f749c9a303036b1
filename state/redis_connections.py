"""Connections to Redis for threads: one each, made when first needed, never shared."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from state.redis_wire import Argument, Refused, options_of, pack
from state.store import StateUnavailable

# So many commands of a stream are on their way beside the one whose reply is read.
_AHEAD = 2


class RedisConnections:
    """Sends one command after the other on the calling thread's own connection.

    Parameters
    ----------
    url
        redis://, rediss:// or unix://, as redis-py takes it.
    timeout_s
        How long a connection or a reply may take.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._options: dict[str, Any] = {
            **options_of(url),
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,
        }
        self._class = self._options.pop("connection_class", redis.Connection)
        self._threads = threading.local()

    def execute(self, *command: Argument, harmless: bool = False) -> Any:
        """Return Redis' reply to one command.

        A command is sent once, and whether one without a reply was carried out is not known. Only one that
        is `harmless` to repeat is sent again where the connection turns out to have broken in the meantime.
        Raises Refused with the text of an error that Redis answered, StateUnavailable where there is no
        answer in time.
        """
        connection = self._of_this_thread()
        packed = [pack(command)]
        try:
            try:
                return self._exchange(connection, packed)
            except redis.ConnectionError:
                if not harmless:
                    raise
                return self._exchange(connection, packed)
        except redis.exceptions.NoScriptError as error:
            raise Refused("NOSCRIPT") from error
        except redis.ResponseError as error:
            raise Refused(str(error)) from error
        except (redis.RedisError, OSError) as error:
            raise StateUnavailable(f"Redis cannot be reached: {error}") from error

    def read_all(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        """Return Redis' replies to several commands that are harmless to repeat, in one trip, in their order.

        Commands of others may come in between. Raises Refused with the first error that Redis answered,
        StateUnavailable where there is no answer in time.
        """
        connection = self._of_this_thread()
        packed = [pack(command) for command in commands]
        try:
            try:
                return self._exchange_all(connection, packed)
            except redis.ConnectionError:
                return self._exchange_all(connection, packed)
        except redis.ResponseError as error:
            raise Refused(str(error)) from error
        except (redis.RedisError, OSError) as error:
            raise StateUnavailable(f"Redis cannot be reached: {error}") from error

    def stream(self, commands: Iterable[tuple[Argument, ...]]) -> Iterator[Any]:
        """Yield Redis' replies to commands that only read, in their order: the next one works on one meanwhile.

        Nothing else may use the thread's connection until the last. Raises Refused and StateUnavailable as `execute`.
        """
        connection = self._of_this_thread()
        under_way = 0
        try:
            for command in commands:
                connection.send_packed_command([pack(command)], check_health=False)
                under_way += 1
                if under_way > _AHEAD:
                    yield connection.read_response()
                    under_way -= 1
            for _ in range(under_way):
                yield connection.read_response()
                under_way -= 1
        except redis.ResponseError as error:
            raise Refused(str(error)) from error
        except (redis.RedisError, OSError) as error:
            raise StateUnavailable(f"Redis cannot be reached: {error}") from error
        finally:
            if under_way:
                connection.disconnect()  # what is left unread would meet the next command

    @staticmethod
    def _exchange_all(connection: Any, packed: list[bytes]) -> list[Any]:
        refusal: redis.ResponseError | None = None
        replies: list[Any] = []
        try:
            connection.send_packed_command(packed, check_health=False)
            for _ in packed:  # all of them: what is left unread would meet the next command
                try:
                    replies.append(connection.read_response())
                except redis.ResponseError as error:
                    refusal = refusal or error
        except BaseException:
            connection.disconnect()
            raise
        if refusal is not None:
            raise refusal
        return replies

    @staticmethod
    def _exchange(connection: Any, packed: list[bytes]) -> Any:
        try:
            connection.send_packed_command(packed, check_health=False)
            return connection.read_response()
        except redis.ResponseError:
            raise
        except BaseException:
            # Whatever came in between, the reply may still arrive: it must not meet the next command.
            connection.disconnect()
            raise

    def close(self) -> None:
        """Close the calling thread's connection; those of other threads end with them."""
        self._of_this_thread().disconnect()

    def _of_this_thread(self) -> Any:
        connection = getattr(self._threads, "connection", None)
        if connection is None:
            connection = self._threads.connection = self._class(**self._options)
        return connection
