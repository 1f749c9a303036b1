"""Change requests: how limits are changed (docs/decisions/0022-change-requests.md). Doors use `services` alone."""
