"""What is served under which address."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("dashboard.urls")),
    path("", include("reports.urls")),
    path("", include("access.urls")),  # before the admin, whose sign-in it takes the place of
    path("admin/", admin.site.urls),
    path("", include("api.urls")),
]
