"""Rows of a PostgreSQL table, by COPY and upsert."""
