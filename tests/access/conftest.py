"""People who can sign in, and what a browser does for them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from audit.role_groups import ensure_roles
from tests.access.people import PASSWORD, Browser


@pytest.fixture(autouse=True)
def quick_passwords(settings) -> None:
    """Have passwords be hashed in no time: each is, in each of these tests, many times."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def olga(db) -> User:
    """Somebody who may sign in, and do everything."""
    ensure_roles()
    return User.objects.create_user("olga", password=PASSWORD, is_staff=True, is_superuser=True)


@pytest.fixture
def vera(db) -> User:
    """Somebody who may sign in, and has no role."""
    ensure_roles()
    return User.objects.create_user("vera", password=PASSWORD, is_staff=True)


@pytest.fixture
def browser() -> Browser:
    return Browser()
