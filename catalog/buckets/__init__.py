"""Connecting buckets: what may be said of one, and the check of its connection step by step."""
