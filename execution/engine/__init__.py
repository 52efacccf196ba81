"""The process boundary: tenant SQL runs in a one-shot process that holds nothing but its slice."""
