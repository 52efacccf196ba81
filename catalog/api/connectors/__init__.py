"""Connectors over the API: what is pulled into a catalog, and from where."""
