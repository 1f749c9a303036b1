"""Stopping trading at once, and letting somebody re-arm it."""
