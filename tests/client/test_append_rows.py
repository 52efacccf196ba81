"""Rows appended from Python: in pieces with a key each, so that they may be sent again."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import upend
from tests.stack import DemoAir, manage
from upend import rows
from upend.errors import UpendError

pytestmark = pytest.mark.stack


def test_it_cuts_rows_into_pieces_that_are_always_the_same() -> None:
    table = pa.table({"id": range(5_000_000)})
    first = list(rows.pieces(table))
    assert len(first) > 1
    assert first == list(rows.pieces(table))
    whole = pa.concat_tables([pa.ipc.open_stream(piece).read_all() for piece in first])
    assert whole.equals(table)
    assert len(list(rows.pieces(table.slice(0, 0)))) == 1


TOKEN = """
from datetime import timedelta
from django.utils import timezone
from accounts import services as accounts
from accounts.domain import Scope
from accounts.models import User
from accounts.selectors import actor_for_user
steward = User.objects.get(email="steward@demo-air.example")
print(accounts.create_token(
    actor=actor_for_user(steward), owner=steward, name="append", scopes=frozenset(Scope),
    expires_at=timezone.now() + timedelta(days=1),
).text)
"""


def test_it_appends_once_whatever_is_sent_again(demo_air: DemoAir, tmp_path: Path) -> None:
    token = manage(demo_air.stack, "shell", "-c", TOKEN).strip().splitlines()[-1]
    file = tmp_path / "appended.csv"
    file.write_text("id,name\n1,x\n")
    with upend.connect(demo_air.url, token=token, workspace="flight-ops") as connection:
        connection.load(file, "flights.main.appended")
        more = pa.table({"id": [2, 3], "name": ["y", None]})
        [batch] = connection.append("flights.main.appended", more, key="once")
        [again] = connection.append("flights.main.appended", more, key="once")
        assert (batch["id"], batch["state"], batch["rows"]) == (again["id"], "committed", 2)
        with pytest.raises(UpendError, match="no columns"):
            connection.append("flights.main.appended", pa.table({"other": [1]}))
        found = connection.sql("SELECT id FROM flights.main.appended ORDER BY id", on="server")
        assert found.fetchall() == [(1,), (2,), (3,)]
