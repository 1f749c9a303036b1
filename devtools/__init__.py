"""Tools for tests, benchmarks and developers. Nothing that runs in production imports them."""
