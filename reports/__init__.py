"""Evidence to take away: what happened, as a table, a workbook, a document or lines of JSON, each with its manifest."""
