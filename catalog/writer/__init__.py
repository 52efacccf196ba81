"""The one writer of a catalog: a trusted, one-shot process per job that commits exactly once."""
