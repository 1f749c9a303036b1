"""What went wrong: violations as episodes, alerts, the circuit breaker, notifications."""
