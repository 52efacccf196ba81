"""Governed extracts: files that the server wrote with a policy applied, read in a table's place."""
