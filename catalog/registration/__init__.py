"""Looks at Parquet files that are to be part of a table, before they are."""
