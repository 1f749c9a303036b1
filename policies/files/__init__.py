"""Limits as files: YAML, CSV and XLSX, written from the rows that officers manage and read into a change request.

A file is rows of text by kind (`rows`). One module a format turns it into bytes and back; `matching` turns rows into
edits; `services` is what the admin and the command line call. The format is described in docs/limits-as-files.md.
"""
