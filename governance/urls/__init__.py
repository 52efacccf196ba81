"""The addresses of this room, by surface."""
