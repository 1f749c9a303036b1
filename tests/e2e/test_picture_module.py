"""Modules of the pages by themselves, held against the server: what differences mean, and units of metrics."""

from __future__ import annotations

import itertools
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from playwright.sync_api import Browser, Page

from dashboard import frames
from dashboard.pictures import Picture, Row, Rows, View
from riskcore.metrics import METRICS, Unit
from tests.e2e.installation import ROOT

pytestmark = [pytest.mark.e2e]

MODULES = ROOT / "dashboard/static/dashboard"
ADDRESS = "http://pages.test"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

# Keys that a careless page would take for something else.
KEYS = ["desk-1", "1", "now", "__proto__", "constructor", "<b>", 'a"b', "ä", ""]

APPLY = """async (texts) => {
  const frames = texts.map((text) => JSON.parse(text));
  const { pictureOf, applyUpdate } = await import("/picture.js");
  const picture = pictureOf(frames[0]);
  return frames.map((frame, index) => {
    const changed = index === 0 ? [] : applyUpdate(picture, frame);
    const sections = [...picture.sections].map(([name, rows]) => [name, [...rows]]);
    return { n: picture.n, at: picture.at, changed: changed.sort(), sections };
  });
}"""

REFUSE = """async ([first, second]) => {
  const { Broken, pictureOf, applyUpdate } = await import("/picture.js");
  const picture = pictureOf(first);
  try {
    applyUpdate(picture, second);
  } catch (error) {
    return [error instanceof Broken, picture.n, [...picture.sections].map(([name, rows]) => [name, [...rows]])];
  }
  return null;
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    """An empty page that has the modules beside it."""
    found = browser.new_page()

    def serve(route: Any) -> None:
        name = Path(route.request.url.removeprefix(f"{ADDRESS}/")).name
        if name:
            route.fulfill(path=MODULES / name, content_type="text/javascript")
        else:
            route.fulfill(body="<!DOCTYPE html>", content_type="text/html")

    found.route(f"{ADDRESS}/**", serve)
    found.goto(f"{ADDRESS}/")
    return found


def some_rows(chance: random.Random) -> dict[str, Any]:
    values = [None, 1, "0.1", "</script>", [1, "2"], {"a": None}]
    return {key: chance.choice(values) for key in KEYS if chance.random() < 0.5}


def some_pictures(seed: int) -> list[dict[str, dict[str, Any]]]:
    chance = random.Random(seed)
    names = ["limits", "accounts", "toString"]
    return [{name: some_rows(chance) for name in names if chance.random() < 0.8} for _ in range(12)]


def taken(number: int, sections: dict[str, dict[str, Any]]) -> Picture:
    rows = {
        name: Rows({key: Row(Raw(json.dumps(value).encode())) for key, value in section.items()})
        for name, section in sections.items()
    }
    return Picture(number, NOW, rows)


def as_page_has_it(sections: list[Any]) -> dict[str, dict[str, Any]]:
    """Return the sections with rows: one without any is as good as none."""
    return {name: dict(rows) for name, rows in sections if rows}


@pytest.mark.parametrize("seed", range(8))
def test_each_difference_leads_to_the_picture_that_the_server_has(page, seed):
    pictures = some_pictures(seed)
    view = View()
    all_taken = [taken(number, sections) for number, sections in enumerate(pictures)]
    texts = [frames.snapshot("s", all_taken[0], view)]
    for before, after in itertools.pairwise(all_taken):
        texts.append(frames.update("s", before, view, after, view))
    steps = page.evaluate(APPLY, texts)
    for step, expected in zip(steps, pictures, strict=True):
        assert as_page_has_it(step["sections"]) == {name: rows for name, rows in expected.items() if rows}


def test_differences_over_several_pictures_lead_there_too(page):
    pictures = [taken(number, sections) for number, sections in enumerate(some_pictures(99))]
    first, last = pictures[0], pictures[-1]
    texts = [frames.snapshot("s", first, View()), frames.update("s", first, View(), last, View())]
    steps = page.evaluate(APPLY, texts)
    assert as_page_has_it(steps[1]["sections"]) == {n: rows for n, rows in some_pictures(99)[-1].items() if rows}


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": 1},
        {"stream": ""},
        {"n": "2"},
        {"at": "soon"},
        {"changes": None},
        {"changes": {"limits": {"set": {"a": 9}, "gone": []}, "accounts": {"set": [], "gone": []}}},
        {"changes": {"limits": None}},
        {"changes": {"limits": {"gone": "a"}}},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_and_changes_nothing(page, wrong):
    head = {"stream": "s", "n": 0, "at": "2026-01-02T03:04:05Z"}
    first = {"type": "snapshot", **head, "picture": {"limits": {"a": 1}}}
    second = {"type": "update", **head, "n": 1, "from": 0, "changes": {}} | wrong
    assert page.evaluate(REFUSE, [first, second]) == [True, 0, [["limits", [["a", 1]]]]]


SHOWN = {Unit.CURRENCY: "1,234,568", Unit.LEVERAGE: "1,234,567.89 x", Unit.FRACTION: "123,456,789.00 %"}


def test_every_metric_is_shown_in_its_unit(page):
    script = """async (names) => {
      const { metric } = await import("/format.js");
      return Object.fromEntries(names.map((name) => [name, metric(name, "1234567.89")]));
    }"""
    shown = page.evaluate(script, list(METRICS))
    assert shown == {name: SHOWN.get(metric.unit, "1,234,567.89") for name, metric in METRICS.items()}
