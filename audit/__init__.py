"""Who did what, and every decision, kept: the hash-chained log of changes and the drained journal."""
