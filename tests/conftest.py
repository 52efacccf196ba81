"""What every test of Upend has at hand."""

pytest_plugins = ["tests.cast", "tests.stack"]
