"""How uvicorn serves websockets."""

from __future__ import annotations

from typing import Any

# A browser names accounts, and nothing else. One that does not answer in time has gone, or cannot keep up at all. What
# goes out each second is small, and the processor has orders to see to: it is not compressed.
WEBSOCKETS: dict[str, Any] = {
    "ws": "websockets-sansio",
    "ws_max_size": 4096,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    "ws_per_message_deflate": False,
}
