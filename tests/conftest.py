"""What every test of Upend has at hand."""

pytest_plugins = ["tests.broker", "tests.cast", "tests.stack"]
