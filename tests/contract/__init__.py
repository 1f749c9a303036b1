"""The one contract of a store, run on memory and on Redis through both of its doors."""
