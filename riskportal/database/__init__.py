"""PostgreSQL as Django speaks it, but for how its absence is found out."""
