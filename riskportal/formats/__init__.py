"""How moments are written on pages."""
