"""The REST surface of what runs."""
