"""Where the wheels put their servers, found without running the wheels' own Python."""

from importlib.util import find_spec
from pathlib import Path


class MissingWheel(RuntimeError):
    """A part was to be started here, but its wheel is not installed."""


def package_directory(package: str) -> Path:
    """Return the directory of an installed package, which is not imported.

    Raises `MissingWheel` where it is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        message = f"{package} is not installed: run `pip install 'upend-server[embedded]'`"
        raise MissingWheel(message)
    return Path(spec.origin).parent
