"""What an OMS is asked on `execution.*`, and what it may answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from emergency.notes import StopNote
from emergency.words import Command
from emergency.work import Progress, ProgressNote

SUBJECTS = {command: f"execution.{command.value}" for command in Command}
PROGRESS = "execution.progress"

_MOST_BYTES = 64 * 1024

_Count = Annotated[int, Meta(ge=0, le=10**9)]
_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Reason = Annotated[str, Meta(max_length=200)]
_Reasons = Annotated[dict[_Reason, _Count], Meta(max_length=20)]


class Unreadable(Exception):
    """Something that an OMS sent and that says nothing of how far it has come; the text says why."""


class _Refusal(Struct, frozen=True):
    field: _Reason = ""
    message: _Reason = ""


class _Answer(Struct, frozen=True, kw_only=True):
    """An answer, or a message; an OMS may say more than this."""

    stop_id: _Name | None = None
    account_id: Annotated[str, Meta(max_length=64)] | None = None
    command: Command | None = None
    orders_canceled: _Count = 0
    positions_closed: _Count = 0
    remaining: _Count | None = None
    rejects: _Count = 0
    reject_reasons: _Reasons = {}
    error: _Refusal | None = None


_decoder = msgspec.json.Decoder(_Answer)


def request(stop: StopNote, account_id: str, command: Command) -> tuple[str, bytes]:
    """Return the subject and the payload that ask for a command on an account."""
    scope = {"type": stop.scope.value, "id": stop.scope_id}
    return SUBJECTS[command], msgspec.json.encode({"stop_id": stop.id, "account_id": account_id, "scope": scope})


def read_answer(content: bytes, stop_id: str, account_id: str, command: Command) -> Progress:
    """Return how far an answer says that a command has come. Raises Unreadable."""
    answer = _decode(content)
    if answer.error is not None:
        raise Unreadable(f"the OMS refuses: {answer.error.field} {answer.error.message}".strip())
    if answer.stop_id not in (stop_id, None) or answer.account_id not in (account_id, None, ""):
        raise Unreadable("the OMS answers for another stop or account")
    if answer.command not in (command, None):
        raise Unreadable("the OMS answers for another command")
    return _progress(answer)


def read_progress(content: bytes) -> ProgressNote:
    """Return what a message on `execution.progress` says. Raises Unreadable."""
    answer = _decode(content)
    if not answer.stop_id:
        raise Unreadable("stop_id is missing")
    if not answer.account_id:
        raise Unreadable("account_id is missing")
    return ProgressNote(
        stop_id=answer.stop_id, account_id=answer.account_id, command=answer.command, progress=_progress(answer)
    )


def _decode(content: bytes) -> _Answer:
    if len(content) > _MOST_BYTES:
        raise Unreadable(f"the answer of the OMS is longer than {_MOST_BYTES} bytes")
    try:
        return _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"the answer of the OMS cannot be read: {error}") from None


def _progress(answer: _Answer) -> Progress:
    if answer.remaining is None:
        raise Unreadable("the answer of the OMS does not say how much is remaining")
    unexplained = answer.rejects - sum(answer.reject_reasons.values())
    rejects = {reason: count for reason, count in answer.reject_reasons.items() if count}
    if unexplained > 0:
        rejects["no reason given"] = unexplained
    return Progress(
        orders_canceled=answer.orders_canceled,
        positions_closed=answer.positions_closed,
        remaining=answer.remaining,
        rejects=rejects,
    )
