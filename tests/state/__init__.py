"""Tests of the parts of `state`; what its stores promise together is in tests/contract."""
