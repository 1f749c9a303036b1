"""Who gets in: signing in and out, lock-out, the second factor, and how long a session is good."""
