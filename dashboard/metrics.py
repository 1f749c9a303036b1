"""What is counted of browsers."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LOOKERS = Gauge("risk_browsers", "Browsers that look at live pages.", multiprocess_mode="livesum")
FRAMES = Counter("risk_browser_frames_total", "Messages to browsers: whole pictures, and differences.", ["kind"])
PICTURE = Histogram(
    "risk_picture_duration_seconds",
    "Time that it took to find out what there is to be seen, each second.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
