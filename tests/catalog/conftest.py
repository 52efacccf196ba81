"""What the tests of the catalog room have at hand."""

from tests.catalog.lakes import written_lake

__all__ = ["written_lake"]
