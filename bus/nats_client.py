"""nats-py's client, without the two of its faults that have cost us messages."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from nats.aio.client import Client
from nats.protocol.parser import PING

logger = logging.getLogger(__name__)


class NatsClient(Client):
    """A client that goes on reading after what it cannot read, and whose `flush` waits for all that was sent before.

    Of a message, others choose the headers and where the answer should go; neither need be UTF-8, or be there at all.
    Where decoding them raises, nats-py stops reading and never says so.

    nats-py puts a ping on the line ahead of the subscriptions and messages that wait to be written. So `flush` could
    return while the server had none of them, and what it had answered for could still be lost.
    """

    async def _process_msg(self, *message: Any) -> None:
        try:
            await super()._process_msg(*message)
        except (ValueError, LookupError) as error:
            logger.warning("a message from NATS was dropped, it cannot be read: %s", error)

    async def _send_ping(self, future: asyncio.Future[Any] | None = None) -> None:
        self._pongs.append(asyncio.Future() if future is None else future)
        await self._send_command(PING)
        await self._flush_pending()
