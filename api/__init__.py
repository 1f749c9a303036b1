"""The doors for machines.

Read in this order: `wire` (bodies in and out), `checks` (everything about a check that is not transport), `keys`
(who may ask), `errors` (one error for every door), `asgi_door` (the fast door), `rest/` (the documented one).
"""
