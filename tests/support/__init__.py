"""What the tests stand on: servers, builders, clients."""
