"""Whoever asks whatever under whichever policies: the rows are those that a hand would leave.

200 triples, made from a seed. Each way of running is a column of the comparison: add one to
`WAYS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest

from accounts.domain import Actor
from catalog import storage
from execution import masking, planning, services, slices
from execution.bind import BindError
from execution.domain import Plan, QueryState
from execution.engine import services as engine
from execution.engine.domain import EngineSpec
from execution.engine.needs import Need
from execution.services import extracts
from governance.checking import check
from governance.domain import PolicyKind
from governance.models import Policy
from governance.services.mask_keys import mask_key
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.differential.governed import (
    CREATE,
    OFFICES,
    PEOPLE,
    ROWS_OF_PEOPLE,
    Hand,
    Person,
    Round,
    rounds,
)
from tests.execution.governed import Laptop, in_storage, laptop_of
from tests.execution.rows import make_delegated
from tests.execution.test_run_engine import SPEC, Collected
from tests.governance.publishing import publish, raise_version
from upend import slices as device

__all__ = ["written_lake"]

SEED = 20261122
ROUNDS, QUERIES_EACH = 10, 5
REFUSED = "refused"
"""What a query comes to that names a column which is hidden from who asks."""


@dataclass
class Bench:
    """A lake with rows in files and in the catalog, some deleted, and its files in the bucket."""

    cast: Cast
    lake: WrittenLake
    urls: dict[str, str] = field(default_factory=dict)
    laptops: dict[UUID, Laptop] = field(default_factory=dict)
    by_extract: int = 0
    engine: duckdb.DuckDBPyConnection = field(
        default_factory=lambda: device.connect(memory_bytes=2**29, threads=1)
    )

    def write(self) -> None:
        self.lake.run(
            "CALL lake.set_option('data_inlining_row_limit', 0)",
            CREATE,
            "ALTER TABLE people SET PARTITIONED BY (region)",
            ROWS_OF_PEOPLE.format(first=0, end=25),
            ROWS_OF_PEOPLE.format(first=25, end=50),
            "DELETE FROM people WHERE id % 17 = 3",
            "CALL lake.set_option('data_inlining_row_limit', 100)",
            ROWS_OF_PEOPLE.format(first=50, end=60),
            OFFICES,
        )
        in_storage(self.lake)
        for person in PEOPLE:
            if user := self.cast.users.get(person.name):
                user.attributes = dict(person.attributes)
                user.save()
                self.laptops[user.id] = laptop_of(self.cast, person.name)

    def hand(self) -> Hand:
        """Return the hand, which holds every row as plain DuckDB reads it."""
        found = self.lake.con.execute("SELECT * FROM people")
        names = [column[0] for column in found.description or []]
        people = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        return Hand(people, mask_key(self.cast.organization.id))

    def publish(self, asked: Round) -> None:
        """Make the policies of a round hold, and no others; their text is checked."""
        Policy.objects.all().delete()
        raise_version(self.cast)
        table = self.lake.table("people").securable(self.lake.catalog.securable)
        for rule in asked.rules:
            kind = PolicyKind(rule.kind)
            checked = check(
                workspace=self.cast.workspace, kind=kind, scope=table, text=rule.text, tests=[]
            )
            assert not [f for f in checked.findings if f.is_error], (rule.text, checked.findings)
            publish(self.cast, rule.name, kind, table, checked.compiled)

    def actor(self, who: Person) -> Actor:
        actor = self.cast.actor(who.name)
        laptop = self.laptops.get(actor.id)
        return replace(laptop.actor if laptop else actor, attributes=dict(who.attributes))

    def url(self, file: slices.SliceFile) -> str:
        """Return where an engine finds a file, which is put into the bucket once."""
        if file.key not in self.urls:
            path = self.lake.directory / file.key.removeprefix(self.lake.catalog.prefix)
            key = f"tests/{file.key}"
            storage.hosted().put_bytes(key, path.read_bytes())
            self.urls[file.key] = storage.hosted().presign(key, valid_seconds=3000)
        return self.urls[file.key]

    def extract_or_url(self, file: slices.SliceFile) -> str:
        """Return where a device finds a file or an extract."""
        if file.extract_id is None:
            return self.url(file)
        return storage.hosted().presign(file.key, valid_seconds=3000)


def on_the_server(bench: Bench, who: Actor, plan: Plan) -> pa.Table:
    """Return what an engine process makes of the plan."""
    record = planning.execution_record(plan)
    sink = Collected()

    def spec(with_slices: bool) -> EngineSpec:
        asked = replace(SPEC, sql=plan.query.sql, search_path=record["search_path"])
        if not with_slices:
            return asked
        built = slices.build(slices.with_every_column(record), locate=bench.url).slices
        key = masking.key_for(record, bench.cast.organization.id)
        return replace(asked, slices=built, mask_key=key)

    engine.run_in_session(
        Need.of(
            slices.with_every_column(record),
            principal=str(who.id),
            workspace="w",
            memory_bytes=SPEC.memory_bytes,
        ),
        spec,
        sink=sink,
        seconds=300,
        on_progress=lambda _: None,
        is_cancelled=lambda: False,
    )
    return sink.table


def on_extracts(bench: Bench, who: Actor, plan: Plan) -> pa.Table | None:
    """Return what a device makes of extracts; None where no table would come as one."""
    if not plan.offers:
        return None
    laptop = bench.laptops[who.id]
    query = make_delegated(
        bench.cast.workspace,
        who,
        laptop.device,
        execution=planning.execution_record(plan),
        footing=plan.footing,
    )
    extracts.attach(query, plan.offers)
    if query.state == QueryState.PREPARING:
        services.write_extracts("test")
        query.refresh_from_db()
    assert query.problem is None, query.problem
    bench.by_extract += 1
    built = slices.build(query.execution, locate=bench.extract_or_url).slices
    attached = device.attach(bench.engine, built, query.execution["search_path"])
    try:
        return bench.engine.sql(plan.query.sql).to_arrow_table()
    finally:
        device.detach(bench.engine, attached)


WAYS: dict[str, Callable[[Bench, Actor, Plan], pa.Table | None]] = {
    "server": on_the_server,
    "extract": on_extracts,
}


def shown(table: pa.Table) -> list[str]:
    """Return columns and rows so that they compare whatever their order is."""
    rows = [str(list(row.values())) for row in table.to_pylist()]
    return [str(table.column_names), *sorted(rows)]


def planned(bench: Bench, who: Actor, sql: str) -> Plan | str:
    try:
        return planning.plan(actor=who, workspace=bench.cast.workspace, sql=sql)
    except BindError:
        return REFUSED


def by_hand(con: duckdb.DuckDBPyConnection, sql: str) -> list[str] | str:
    try:
        return shown(con.sql(sql).to_arrow_table())
    except duckdb.BinderException:
        return REFUSED


@pytest.mark.django_db
def test_it_shows_what_a_hand_would_leave(cast: Cast, written_lake: WrittenLake) -> None:
    bench = Bench(cast, written_lake)
    bench.write()
    hand = bench.hand()
    different: list[object] = []
    count = refused = 0
    for number, asked in enumerate(rounds(SEED, count=ROUNDS, queries=QUERIES_EACH)):
        bench.publish(asked)
        plain = {who.name: hand.engine(asked.rules, who) for who in PEOPLE}
        for who, sql in asked.asked:
            count += 1
            expected = by_hand(plain[who.name], sql)
            found = planned(bench, bench.actor(who), sql)
            refused += isinstance(found, str)
            for way, run in WAYS.items():
                got = found if isinstance(found, str) else run(bench, bench.actor(who), found)
                got = shown(got) if isinstance(got, pa.Table) else got
                if got is not None and got != expected:
                    different.append((number, who.name, sql, way, got, expected))
    engine.discard_spare()
    assert not different, f"{len(different)} of {count} differ, the first: {different[0]}"
    assert count == 200
    assert bench.by_extract > 100
    assert 0 < refused < 20
