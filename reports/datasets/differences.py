"""What an audit event says was changed, in a line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

Evidence: TypeAlias = "Mapping[str, Any] | None"

# Lists with more than these are not told twice.
_SHORT = 6


def difference(before: Evidence, after: Evidence, *, leave_out: Collection[str] = ()) -> str:
    """Return what differs: "threshold: 10 -> 8; enabled: yes -> no".

    Of what was made, and of what is no more, all that it has is told: "threshold: 10; metric: leverage".
    """
    old, new = before or {}, after or {}
    names = [name for name in {**new, **old} if name not in leave_out and old.get(name) != new.get(name)]
    if before and after:
        return "; ".join(f"{_called(name)}: {_change(old.get(name), new.get(name))}" for name in names)
    said = ((name, _told((new or old)[name])) for name in names)
    return "; ".join(f"{_called(name)}: {text}" for name, text in said if text != _NOTHING)


_NOTHING = "nothing"


def _change(old: Any, new: Any) -> str:
    """Return how a value has changed; of a long list only what came and what went."""
    if isinstance(old, list) and isinstance(new, list) and len(old) + len(new) > _SHORT:
        gone, come = ([each for each in one if each not in other] for one, other in ((old, new), (new, old)))
        if gone or come:
            said = (("added", come), ("removed", gone))
            return ", ".join(f"{verb} {_told(what)}" for verb, what in said if what)
    return f"{_told(old)} -> {_told(new)}"


def _told(value: Any) -> str:
    """Return a value as the audit log has it, as people read it."""
    match value:
        case None | "" | []:
            return _NOTHING
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_told, value))
        case dict():
            return f"({', '.join(f'{_called(name)} {_told(each)}' for name, each in value.items())})"
        case _:
            return str(value)


def _called(name: str) -> str:
    return name.replace("_", " ")
