"""What the tests of the catalog room have at hand."""

from tests.catalog.ingest import shop
from tests.catalog.lakes import written_lake
from tests.catalog.storages import moto, seaweed

__all__ = ["moto", "seaweed", "shop", "written_lake"]
