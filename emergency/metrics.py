"""What is counted of stops. Those in force are read from the live state when somebody asks."""

from __future__ import annotations

from prometheus_client import Counter

stops = Counter("risk_emergency_stops_total", "Emergency stops that came into force.")
