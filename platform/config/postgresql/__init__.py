"""Django's PostgreSQL, with a pool that asks nothing of connections that are well."""
