"""What officers manage, and the policy book that is published from it."""
