"""Stops in force for which something is to be done, put together from what is noted of them; and how often to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from emergency.holdings import Seen, concerned
from emergency.notes import Note, StepNote, StopNote
from emergency.unwinding import heard, joined
from emergency.words import Command, Status
from emergency.work import PatienceNote, Progress, ProgressNote, UnwindNote
from riskcore.ports import Control

# Between two requests of one command on one account: longer each time that nothing has changed.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0

# Stop, account and command.
Key: TypeAlias = tuple[str, str, Command]


class Noted:
    """What is noted in the live state, by kind."""

    def __init__(self, notes: Iterable[Note]) -> None:
        self.stops: dict[str, StopNote] = {}
        self.works: dict[str, UnwindNote] = {}
        self.patience: dict[str, PatienceNote] = {}
        self.progress: list[ProgressNote] = []
        self.unrecorded: list[StepNote] = []
        for note in notes:
            match note:
                case StopNote():
                    self.stops[note.id] = note
                case UnwindNote():
                    self.works[note.stop_id] = note
                case PatienceNote():
                    self.patience[note.stop_id] = note
                case ProgressNote():
                    self.progress.append(note)
                case StepNote():
                    self.unrecorded.append(note)
                case _:
                    pass


@dataclass
class Case:
    """A stop that is seen through: how far it was, and how far it is."""

    stop: StopNote
    before: UnwindNote
    work: UnwindNote
    is_new: bool
    patience: PatienceNote | None

    def hear(self, answers: Iterable[tuple[str, Command, Progress | str]], at_us: int) -> None:
        self.work = heard(self.work, answers, at_us)


class Pace:
    """When what may be asked again: at once where something has changed, else after longer and longer pauses."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._next: dict[Key, tuple[float, float]] = {}

    def is_due(self, key: Key) -> bool:
        due_s, _ = self._next.get(key, (0.0, 0.0))
        return self._clock_s() >= due_s

    def asked(self, key: Key, *, changed: bool) -> None:
        _, before_s = self._next.get(key, (0.0, 0.0))
        pause_s = FIRST_PAUSE_S if changed or not before_s else min(2 * before_s, LONGEST_PAUSE_S)
        self._next[key] = (self._clock_s() + pause_s, pause_s)

    def keep(self, stop_ids: Iterable[str]) -> None:
        """Forget all other stops."""
        kept = set(stop_ids)
        self._next = {key: value for key, value in self._next.items() if key[0] in kept}


def cases_of(noted: Noted, control: Control, at_us: int) -> list[Case]:
    """Return the stops in force for which there is something to do."""
    found = []
    for flag in control.stops:
        stop, patience = noted.stops.get(flag.id), noted.patience.get(flag.id)
        if stop is None or (patience is not None and patience.given_up):
            continue
        known = noted.works.get(stop.id)
        work = known or UnwindNote(stop_id=stop.id, begun_us=at_us)
        if work.status is not Status.COMPLETED:
            found.append(Case(stop, work, work, known is None, patience))
    return found


def join(cases: Iterable[Case], seen: Mapping[str, Seen]) -> None:
    for case in cases:
        case.work = joined(case.work, concerned(case.stop, seen))


def fold(cases: Iterable[Case], progress: Iterable[ProgressNote], at_us: int) -> None:
    """Take in what the OMS said by itself."""
    by_stop = {case.stop.id: case for case in cases}
    for note in progress:
        case = by_stop.get(note.stop_id)
        account = None if case is None else case.work.accounts.get(note.account_id)
        if case is None or account is None:
            continue
        # Who does not say of which command it is means the last one.
        command = note.command or (Command.CANCEL_ALL if account.close is None else Command.CLOSE_ALL)
        if command is Command.CANCEL_ALL or account.close is not None:
            case.hear([(note.account_id, command, note.progress)], at_us)
