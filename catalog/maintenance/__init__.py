"""Upkeep of lakes: what is kept of files and snapshots, decided purely, done by the one writer."""
