"""What people see live in a browser, and act on at once."""
