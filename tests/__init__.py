"""The tests. They mirror the packages that they test."""
