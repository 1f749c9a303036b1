"""People at browsers: signed in, and every error that their pages write is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.installation import Embedded

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
# What pages are held to: the rules of WCAG 2.1 up to AA, and what axe takes for good practice.
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")


@dataclass
class Office:
    """An installation and the people who work with it, each with a browser of their own."""

    browser: Browser
    installation: Embedded
    errors: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def person(self, name: str = "user", password: str = "password", **options: Any) -> Page:
        """Return a page of whoever these two lines of the sign-in file are for; options are those of a context."""
        address, lines = f"http://127.0.0.1:{self.installation.port}", self.installation.sign_in()
        context = self.browser.new_context(base_url=address, **options)
        context.set_default_timeout(15_000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._note(page, said.type, said.text))
        page.goto("/admin/")
        page.locator("input[name=username]").fill(lines[name])
        page.locator("input[name=password]").fill(lines[password])
        page.locator("input[name=password]").press("Enter")
        expect(page).to_have_url(f"{address}/admin/")
        return page

    def approver(self) -> Page:
        return self.person("approver", "approver-password")

    def _note(self, page: Page, kind: str, text: str) -> None:
        if kind == "error":
            self.errors.append(f"{page.url}: {text}")


@contextlib.contextmanager
def office(browser: Browser, installation: Embedded) -> Iterator[Office]:
    """An office in which no page has written an error in the end."""
    made = Office(browser, installation)
    yield made
    for context in made.contexts:
        context.close()
    assert not made.errors, made.errors


def found_by_axe(page: Page) -> list[str]:
    """Return what keeps people from using a page, a line for each element."""
    page.locator("[role=main]").wait_for()
    page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", list(RULES))
    return [f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]


def tab_to(page: Page, name: str, *, most: int = 80) -> None:
    """Press Tab until what has this name has the focus: who has no mouse gets there."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(_FOCUSED) == name:
            return
    raise AssertionError(f"nobody gets to {name!r} with {most} tabs")


_FOCUSED = """() => {
  const found = document.activeElement || document.body; // there is none while a page is put in place of another
  if (!found) return "";
  const label = found.labels && found.labels[0];
  const text = (label || found).innerText || "";
  return text.replace(/\\s*\\*$/, "").split("\\n").pop().trim();
}"""
