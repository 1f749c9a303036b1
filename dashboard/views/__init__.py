"""The pages, each a thin view: who may see it, and what it begins with."""
