"""What flows out: typed messages over NATS. Nothing that is decided waits for it, or fails without it."""
