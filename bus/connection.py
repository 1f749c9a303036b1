"""What a connection offers to those who hear and publish: over NATS, or inside one process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

# The header that says, on an answer without a payload, that nobody listens on the subject that was asked.
STATUS_HEADER, NOBODY = "Status", "503"


class Message(Protocol):
    """A message as it was heard. `reply`: the subject on which its sender waits for an answer, "" where he does not."""

    @property
    def subject(self) -> str: ...

    @property
    def reply(self) -> str: ...

    @property
    def data(self) -> bytes: ...

    @property
    def headers(self) -> Mapping[str, str] | None: ...


Handler: TypeAlias = Callable[[Message], Awaitable[None]]


class Connection(Protocol):
    """A way to hear and to publish. It belongs to the event loop that starts it, and nothing of it raises."""

    def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> None:
        """Hand every message on `subject` to `handler`, one after the other; call it before `start`.

        In a subject `*` stands for one part and a last `>` for one or more. Of the subscribers that share a `queue`
        only one gets each message.
        """
        ...

    def start(self) -> None:
        """Begin to connect, and return at once."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether there is a connection, as far as is known."""
        ...

    async def until_up(self) -> None:
        """Wait until there is a connection."""
        ...

    async def until_tried(self) -> None:
        """Wait until the first attempt to connect has ended, in whichever way."""
        ...

    @property
    def most_bytes(self) -> int:
        """The longest payload that is carried, in bytes; 0 where there is no connection."""
        ...

    async def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> bool:
        """Send a message, and return whether it is on its way; `flush` says whether it has come to the server.

        Where it has a `reply` and nobody hears its subject, an answer comes there whose header says so.
        """
        ...

    async def flush(self) -> bool:
        """Return whether everything published so far has come to the server."""
        ...

    async def stop_hearing(self) -> None:
        """Subscribe to nothing any more; return when all that was already on its way has been handed over."""
        ...

    async def close(self) -> None:
        """End the connection for good."""
        ...


def says_nobody_listens(answer: Message) -> bool:
    """Return whether this is the server's word that nobody listens on the subject that was asked."""
    return not answer.data and (answer.headers or {}).get(STATUS_HEADER) == NOBODY
