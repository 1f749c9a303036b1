"""One connection to NATS for load: requests out, answers in. A client library would cost more than all the rest."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

# What any client of the gateway knows of it.
CHECK = "risk.check.order"
STATUS_HEADER = "Nats-Service-Error-Code"

_STATUS = STATUS_HEADER.encode() + b": "
_READ = 1 << 18


class Line:
    """A connection that asks about orders, any number at a time.

    Raises ConnectionError where the server does not let us in.
    """

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname, "the URL names no host"
        self.socket = socket.create_connection((parts.hostname, parts.port or 4222), 5.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._inbox = f"_INBOX.{secrets.token_hex(8)}".encode()
        headers = b"NATS/1.0\r\nAuthorization: Bearer %b\r\n\r\n" % key.encode()
        self._headers, self._header_bytes = headers, len(headers)
        self._command = b"HPUB %b %b." % (CHECK.encode(), self._inbox)
        who = {"user": parts.username, "pass": parts.password, "verbose": False, "headers": True, "name": "load"}
        self.socket.sendall(b"CONNECT %b\r\nSUB %b.* 1\r\nPING\r\n" % (json.dumps(who).encode(), self._inbox))
        said = b""
        while b"PONG\r\n" not in said:
            data = self.socket.recv(_READ)
            if not data or b"-ERR" in data:
                raise ConnectionError(f"NATS does not let us in: {data.decode(errors='replace')}")
            said += data

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, requests: list[tuple[int, bytes]]) -> None:
        """Ask, each under a number of its own."""
        self.socket.sendall(
            b"".join(
                b"%b%d %d %d\r\n%b%b\r\n"
                % (
                    self._command,
                    number,
                    self._header_bytes,
                    self._header_bytes + len(body),
                    self._headers,
                    body,
                )
                for number, body in requests
            )
        )

    def receive(self) -> Iterator[tuple[int, int, bytes]]:
        """Read what is there and yield number, status and body of each answer that is whole."""
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionError("NATS hung up")
        data = self._received + data
        at = 0
        while (end := data.find(b"\r\n", at)) >= 0:
            words = data[at:end].split(b" ")
            if words[0] not in (b"MSG", b"HMSG"):
                if words[0] == b"PING":
                    self.socket.sendall(b"PONG\r\n")
                at = end + 2
                continue
            start, length = end + 2, int(words[-1])
            if len(data) < start + length + 2:
                break
            head = int(words[-2]) if words[0] == b"HMSG" else 0
            number = int(words[1].rpartition(b".")[2])
            yield number, _status(data[start : start + head]), data[start + head : start + length]
            at = start + length + 2
        self._received = data[at:]


def _status(headers: bytes) -> int:
    if not headers:
        return 200
    if headers.startswith(b"NATS/1.0 "):
        return int(headers[9:12])  # nobody is there to ask
    _, found, value = headers.partition(_STATUS)
    return int(value[:3]) if found else 200
