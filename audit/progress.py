"""How far a long command has come, on the terminal of whoever waits for it."""

from __future__ import annotations

from typing import TextIO


class Progress:
    """Rewrites one line on a terminal; says nothing to a file or a pipe."""

    def __init__(self, stream: TextIO, what: str) -> None:
        self._stream = stream if stream.isatty() else None
        self._what = what

    def show(self, done: int, total: int) -> None:
        """Show `done` of `total`; a total that has grown meanwhile does not matter."""
        if self._stream is not None:
            self._stream.write(f"\r{done:,} of {max(done, total):,} {self._what}")
            self._stream.flush()

    def close(self) -> None:
        """Leave the line."""
        if self._stream is not None:
            self._stream.write("\n")
