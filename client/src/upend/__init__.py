"""Query a governed lakehouse: on the server or on your own machine, same SQL, same rows."""

__version__ = "0.1.0"
