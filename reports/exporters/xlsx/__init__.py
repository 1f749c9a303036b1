"""A report as a workbook: cells by their kind, sheets of rows, and one that says what they are about."""
