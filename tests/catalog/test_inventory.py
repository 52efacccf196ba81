"""What governance finds of catalogs and tables: by the names people write, by the keys it keeps."""

from __future__ import annotations

from governance import inventory, securables
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake


def test_it_finds_by_name_and_again_by_key_after_renames(written_lake: WrittenLake) -> None:
    where = written_lake.catalog.workspace
    written_lake.run("CREATE TABLE t (id BIGINT, info STRUCT(iban VARCHAR))")
    found = inventory.named(where, ["lake", "LAKE.main.T", "lake.main.gone", "other", "lake.main"])
    assert {label: s.label for label, s in found.items()} == {
        "lake": "lake",
        "LAKE.main.T": "lake.main.t",
    }
    table = found["LAKE.main.T"]
    column = next(c for c in table.columns if c.name == "info.iban")
    written_lake.run("ALTER TABLE t RENAME TO moved", "ALTER TABLE moved RENAME info TO details")
    keys = [table.key, column.key, found["lake"].key, securables.workspace(where).key]
    assert {key: s.label for key, s in inventory.keyed(where, keys).items()} == {
        keys[0]: "lake.main.moved",
        keys[1]: "lake.main.moved.details.iban",
        keys[2]: "lake",
        keys[3]: where.name,
    }
    assert inventory.labels(where) == ["lake", "lake.main.moved"]
    written_lake.run("DROP TABLE moved")
    assert set(inventory.keyed(where, keys)) == set(keys[2:])


def test_it_finds_nothing_of_another_workspace(written_lake: WrittenLake, cast: Cast) -> None:
    written_lake.run("CREATE TABLE t (id BIGINT)")
    table = inventory.named(cast.workspace, ["lake.main.t"])["lake.main.t"]
    elsewhere = cast.other_workspace
    assert inventory.named(elsewhere, ["lake", "lake.main.t"]) == {}
    assert inventory.keyed(elsewhere, [table.key, written_lake.catalog.securable.key]) == {}
    assert inventory.labels(elsewhere) == []
