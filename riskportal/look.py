"""How the admin looks."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy

from riskportal.navigation import SIDEBAR

LOOK: dict[str, Any] = {
    "SITE_TITLE": "riskportal",
    "SITE_HEADER": "riskportal",
    "SITE_SUBHEADER": "Pre-trade risk control",
    "SITE_SYMBOL": "shield",
    "SITE_URL": None,  # the side bar leads to the live pages, for those who may see them
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "ACCOUNT": {"navigation": [{"title": "Your access", "link": reverse_lazy("access:me")}]},
    "SIDEBAR": SIDEBAR,
    "STYLES": [lambda _request: static("riskportal/admin.css")],
    "SCRIPTS": [lambda _request: static("riskportal/admin.js")],
    "DASHBOARD_CALLBACK": "riskportal.home.home_of",
}
