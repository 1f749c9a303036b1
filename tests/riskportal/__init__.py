"""Tests of riskportal."""
