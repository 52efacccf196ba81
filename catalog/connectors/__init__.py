"""Connectors: rows that are pulled from a customer's database on a schedule, up to a watermark."""
