"""Tests of the audit log and the journal's way into the database."""
