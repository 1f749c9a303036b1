"""Violations, alerts, the circuit breaker and notifications."""
