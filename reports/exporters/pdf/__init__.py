"""A report as a document: pages, text that fonts can print, charts, and a table."""
