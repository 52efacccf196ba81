"""Policies over the REST API: read, written, checked, reviewed, brought into force, as files."""
