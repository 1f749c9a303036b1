"""Signs people in who look at live pages, in a process of its own: python -m bench.sessions COUNT      (cookies out)

Nine of ten may see every account; the tenth is for ten accounts of their own.
"""

from __future__ import annotations

import sys

import django
import msgspec

from bench import world

_EVERY = 10
_OWN = 10


def sign_in(count: int) -> list[str]:
    """Return the cookies of so many people, one session each."""
    from django.conf import settings
    from django.contrib.auth.models import Permission, User
    from django.test import Client

    from audit.models import AccountGrant

    viewing = Permission.objects.filter(codename__in=("view_account", "view_alert", "view_violation"))
    cookies = []
    for number in range(count):
        user = User.objects.create(username=f"bench-{number}", is_staff=True)
        user.user_permissions.set(viewing)
        if number % _EVERY == _EVERY - 1:
            own = world.account_ids()[number // _EVERY * _OWN :][:_OWN]
            AccountGrant.objects.bulk_create(AccountGrant(user=user, account_id=each) for each in own)
        client = Client()
        client.force_login(user)  # with all that a session is given when it begins, but for the password
        cookies.append(f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}")
    return cookies


def main() -> None:
    """Sign in as many as the argument says and write their cookies as JSON."""
    django.setup()
    sys.stdout.write(msgspec.json.encode(sign_in(int(sys.argv[1]))).decode())


if __name__ == "__main__":
    main()
