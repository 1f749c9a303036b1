"""The messages of /ws/risk/, as decision 0027 has them: JSON, ready to be sent."""

from __future__ import annotations

import msgspec

from dashboard.pictures import Picture, View, delta

_encoder = msgspec.json.Encoder()


def snapshot(stream: str, picture: Picture, view: View) -> str:
    """Return a whole picture as somebody may see it."""
    return _text(
        {
            "type": "snapshot",
            "stream": stream,
            "n": picture.number,
            "at": picture.at,
            "picture": picture.seen(view),
        }
    )


def update(stream: str, before: Picture, seen_by: View, after: Picture, view: View) -> str:
    """Return what has changed for somebody who has the picture `before` as `seen_by` sees it, and now has `view`."""
    return _text(
        {
            "type": "update",
            "stream": stream,
            "n": after.number,
            "from": before.number,
            "at": after.at,
            "changes": delta(before.seen(seen_by), after.seen(view)),
        }
    )


def _text(message: dict[str, object]) -> str:
    return _encoder.encode(message).decode()
