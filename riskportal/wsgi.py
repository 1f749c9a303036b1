"""The WSGI application: order checks by the lean handler, everything else by Django."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "riskportal.settings")
django_application = get_wsgi_application()

# What these import needs Django to be set up.
from api.rest.lean import LeanHandler  # noqa: E402
from riskportal.warm import warm_up  # noqa: E402

application = LeanHandler(django_application)
warm_up()
