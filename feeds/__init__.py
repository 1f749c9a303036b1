"""What flows in from outside: bodies understood strictly and exactly, and applied to the live state."""
