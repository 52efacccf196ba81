"""Rows on their way into tables: read, checked, kept durably, and committed in groups."""
