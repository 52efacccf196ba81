"""Views of lakes: who may see them, what they read, and how they change."""
