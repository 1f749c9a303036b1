"""A stop passes whatever waits in the web process: other requests have some of its threads, never all.

A thread that waits costs next to nothing; what is scarce is the interpreter, which those that work share.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeAlias

from api import errors

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
Application: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

# Requests that are worked on at a time: they wait for Redis and the database for the most part. Then the threads of
# those that wait for their turn, and those that nothing but a stop gets.
WORKING = min(8, 2 * (os.cpu_count() or 1) + 1)
_WAITING = 50
KEPT = 8
THREADS = WORKING + _WAITING + KEPT

_STOP = "/risk/emergency-stop"


def is_stop(method: str, path: str) -> bool:
    """Return whether a request is a call to stop."""
    return path == _STOP and method == "POST"


class Turns:
    """Lets so many threads work at a time, and the others in the order in which they came.

    A semaphore lets a thread that comes pass those that wait; some would wait for a hundred times as long as others.
    """

    def __init__(self, working: int) -> None:
        self._lock, self._free = threading.Lock(), working
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()  # until whoever ends first hands their turn on

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class StopsFirst:
    """A WSGI application: a call to stop goes to `application` at once, all else in turn, or is refused.

    Parameters
    ----------
    working, waiting
        How many of the others are worked on, and wait for that, at a time.
    """

    def __init__(self, application: Application, *, working: int = WORKING, waiting: int = _WAITING) -> None:
        self._application = application
        self._turns = Turns(working)
        self._room = threading.Semaphore(working + waiting)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if is_stop(environ["REQUEST_METHOD"], environ["PATH_INFO"]):
            return self._application(environ, start_response)
        if not self._room.acquire(blocking=False):
            return _refuse(start_response)
        try:
            with self._turns:
                return self._application(environ, start_response)
        finally:
            self._room.release()


def _refuse(start_response: StartResponse) -> Iterable[bytes]:
    problem = errors.too_busy()
    body = problem.body()
    headers = {"Content-Type": errors.PROBLEM_TYPE, "Content-Length": str(len(body)), **problem.headers()}
    start_response(f"{problem.status} {HTTPStatus(problem.status).phrase}", list(headers.items()))
    return [body]
