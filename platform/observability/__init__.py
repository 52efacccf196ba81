"""What operators see of Upend while it runs: metrics, traces and logs, without anybody's data.

Knows nothing of the rooms above it: they call it, each with one line.
"""
