"""Tests of what officers manage, and of the published book."""
