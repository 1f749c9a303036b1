"""The WSGI application as the web process serves it, with the watch over the monitor beside it."""

from __future__ import annotations

# Sets Django up, which the watch needs.
from riskportal.wsgi import application as wsgi_application

from riskportal.stops_first import StopsFirst  # isort: skip
from riskportal.beside import Beside  # isort: skip

application = StopsFirst(wsgi_application)
Beside().start()
