"""The embedded profile: real PostgreSQL, Valkey and S3 from PyPI wheels, run as this user."""
