"""A simulated market and OMS, as peers outside of the product: they know its public HTTP API and nothing else."""
