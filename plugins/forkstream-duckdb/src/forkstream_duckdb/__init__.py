"""Embedded analytics: search documents as rows of one DuckDB file."""
