"""What is wrong with a body that cannot be understood, field by field, and where in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

# Beyond this many, more errors help nobody and a hostile body must not make a long answer.
MOST_ERRORS = 50
_LONGEST_NAME = 80

# How much of a broken body is walked through to name the field that is broken.
_MOST_TOKENS = 60_000
_MOST_DEPTH = 8

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)
_POSITION = re.compile(r"\(byte (\d+)\)")


class Wrong(Exception):
    """One value that is not what it should be: the sentence for people, the code for machines."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.message, self.code = message, code


class FieldError(Struct, frozen=True, kw_only=True):
    """One wrong field. `field` is its path as in `orders[17].quantity`, `body` for the body as a whole."""

    field: str
    message: str
    code: str


class Malformed(Exception):
    """A body that was not understood, or not wholly; nothing of it was used. Carries every wrong field."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(map(_shortened, islice(errors, MOST_ERRORS)))
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in self.errors))

    @classmethod
    def of(cls, field: str, message: str, code: str) -> Malformed:
        """Return the error about one field."""
        return cls((FieldError(field=field or "body", message=message, code=code),))

    def under(self, path: str) -> Malformed:
        """Return the same errors with `path` before their fields, for a body that was part of another."""
        return Malformed(
            FieldError(field=join(path, error.field), message=error.message, code=error.code) for error in self.errors
        )


def join(path: str, field: str) -> str:
    """Return the path of a field within an object at `path`, either of which may be the body itself."""
    if not path or not field or field == "body":
        return path or field
    return path + field if field[0] == "[" else f"{path}.{field}"


def _shortened(error: FieldError) -> FieldError:
    """A sender's own names come back to it, but not at any length."""
    if len(error.field) <= _LONGEST_NAME:
        return error
    return replace(error, field=f"{error.field[:_LONGEST_NAME]}...")


def not_json(content: bytes, error: Exception) -> Malformed:
    """Return what to say of a body that is no JSON, naming the field at which it stops being any."""
    if isinstance(error, RecursionError):
        return Malformed.of(locate(content, len(content)), "is nested too deeply", "too_deep")
    if isinstance(error, UnicodeDecodeError):
        return Malformed.of("body", "is not UTF-8", "not_utf8")
    found = _POSITION.search(str(error))
    at = int(found[1]) if found is not None else len(content)
    what = "the JSON ends too early" if found is None else f"this is not JSON (byte {at})"
    return Malformed.of(locate(content, at), what, "not_json")


def locate(content: bytes, at: int) -> str:
    """Return the path of the field around byte `at` of a JSON text that is sound up to there, "" for the whole.

    Too deep or too long a text is followed only as far as that is cheap.
    """
    stack: list[str | int] = []
    name, named = b"", False
    for count, token in enumerate(_TOKEN.finditer(content, 0, at)):
        if count > _MOST_TOKENS:
            return ""
        text = token[0]
        if text in (b"{", b"["):
            if len(stack) == _MOST_DEPTH:
                break
            stack.append("" if text == b"{" else 0)
        elif text in (b"}", b"]"):
            if stack:
                stack.pop()
        elif text == b",":
            named = False
            if stack:
                top = stack[-1]
                stack[-1] = top + 1 if isinstance(top, int) else ""
        elif text == b":":
            if stack and not named:
                stack[-1], named = name[1:-1].decode("utf-8", "replace"), True
        else:
            name = text
            named = False
    return _path(stack)


def _path(stack: list[str | int]) -> str:
    path = ""
    for step in stack:
        path = join(path, f"[{step}]" if isinstance(step, int) else step)
    return path
