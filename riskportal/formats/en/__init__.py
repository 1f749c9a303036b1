"""English is the one language of the pages."""
