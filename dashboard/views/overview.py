"""The first page: what is wrong, how bad it is, what to press."""

from __future__ import annotations

from dashboard.views.page import Page


class OverviewView(Page):
    """The firm at this moment. All of its figures come live."""

    template_name = "dashboard/overview.html"
