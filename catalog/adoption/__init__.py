"""Adopts lakes that were made elsewhere: their metadata is read, checked, and kept by Upend.

What reads a stranger's metadata (`duckdb_file`, `sqlite_file`, `postgresql`) runs in processes of
its own, knows nothing of Django, and says what it finds as `frames`.
"""
