"""The console's pages of policies: found, begun, written, agreed to, looked back on."""
