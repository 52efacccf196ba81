"""The endpoints of where people work: workspaces, and who belongs to them."""
