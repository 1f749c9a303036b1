"""The addresses of signing in, and of what people set up for themselves."""

from __future__ import annotations

from django.urls import path
from django.views.generic import RedirectView

from access import factor_views, views

app_name = "access"

urlpatterns = [
    path("sign-in/", views.SignInView.as_view(), name="sign-in"),
    path("sign-in/code/", views.CodeView.as_view(), name="code"),
    path("sign-out/", views.SignOutView.as_view(), name="sign-out"),
    path("me/", views.MeView.as_view(), name="me"),
    path("me/password/", views.PasswordView.as_view(), name="password"),
    path("me/second-factor/", factor_views.FactorView.as_view(), name="second-factor"),
    path("me/second-factor/picture.svg", factor_views.PictureView.as_view(), name="picture"),
    path("me/second-factor/codes/", factor_views.CodesView.as_view(), name="codes"),
    path("me/second-factor/off/", factor_views.OffView.as_view(), name="off"),
    # The admin's own pages for the same.
    path("admin/login/", RedirectView.as_view(pattern_name="access:sign-in", query_string=True)),
    path("admin/logout/", views.SignOutView.as_view()),
    path("admin/password_change/", views.PasswordView.as_view()),
]
