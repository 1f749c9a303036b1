"""What a proposed book would change: of orders that were decided, and of the accounts as they stand."""
