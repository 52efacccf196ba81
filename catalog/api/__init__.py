"""`/api/v1/workspaces/{w}/catalogs…`: what exists, its history, and new data."""
