"""Looks at every account each second: what is broken is recorded, told, and stopped."""
