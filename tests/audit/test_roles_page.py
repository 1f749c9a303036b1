"""docs/roles.md says what the code says: which role may what, and what the words of API keys stand for."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import Permission

from api.grants import FOR_PEOPLE, MEANINGS, STANDS_FOR, Word
from audit.roles import EVIDENCE, ROLES

pytestmark = pytest.mark.django_db

PAGE = Path(__file__).parents[2] / "docs" / "roles.md"


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def of_roles() -> list[str]:
    meanings = {f"{each.content_type.app_label}.{each.codename}": each.name for each in Permission.objects.all()}
    names = list(dict.fromkeys(name for role in ROLES for name in role.permissions))
    names = sorted(names, key=lambda name: ".view_" in name)
    head = [row("may", "permission", *(role.name for role in ROLES)), row(*["---"] * (len(ROLES) + 2))]
    marks = {name: ["x" if name in role.permissions else "" for role in ROLES] for name in names}
    return [*head, *(row(meanings[name].removeprefix("Can "), f"`{name}`", *marks[name]) for name in names)]


def of_meanings() -> list[str]:
    return [row("role", "is for whoever"), row("---", "---"), *(row(role.name, role.meaning) for role in ROLES)]


def of_keys() -> list[str]:
    found = [row("word", "lets a key", "stands for"), row("---", "---", "---")]
    for word in Word:
        names = sorted(name for name in STANDS_FOR[word] if ".view_" not in name)
        reading = ["all that a viewer may"] if any(".view_" in name for name in STANDS_FOR[word]) else []
        evidence = ["all that an auditor reads"] if set(EVIDENCE) <= STANDS_FOR[word] else []
        stands = [*(f"`{name}`" for name in names), *reading, *evidence]
        found.append(row(f"`{word}`", MEANINGS[word], ", ".join(stands)))
    return found


@pytest.mark.parametrize("table", [of_meanings, of_roles, of_keys])
def test_the_page_has_the_table_as_it_is(table):
    lines = table()
    assert "\n".join(lines) in PAGE.read_text(), "\n".join(lines)


def test_the_page_says_what_only_people_do():
    assert all(f"`{name}`" in PAGE.read_text() for name in FOR_PEOPLE)
