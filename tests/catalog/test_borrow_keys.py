"""What a role lends is renewed before it ends, so that no job dies with its keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from catalog.storage import Credentials, Location, Store
from catalog.storage.lending import Lender, Role, assume, session_policy
from tests.catalog.storages import LentStorage

ANY_ROLE = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
ANYTHING = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


class Borrowing:
    """Borrows of moto's token service; the first loan is said to end in `minutes`."""

    def __init__(self, moto: LentStorage, minutes: int) -> None:
        self.location = Location(moto.endpoint, moto.region, moto.bucket(), moto.endpoint)
        self.lent: list[Credentials] = []
        self._minutes = minutes
        self._key = moto.person(ANY_ROLE)
        self._role = Role(moto.role("ours", ANYTHING), "ours", moto.region, moto.endpoint)

    def __call__(self) -> Credentials:
        policy = session_policy(self.location.bucket, "")
        got = assume(self._key, self._role, policy, name="upend-test")
        if not self.lent:
            got = replace(got, expires_at=datetime.now(UTC) + timedelta(minutes=self._minutes))
        self.lent.append(got)
        return got


@pytest.mark.parametrize(("minutes", "loans"), [(10, 2), (50, 1)])
def test_it_renews_keys_that_end_soon_and_keeps_the_others(
    minutes: int, loans: int, moto: LentStorage
) -> None:
    borrowing = Borrowing(moto, minutes)
    store = Store(borrowing.location, Lender(borrowing, moto.endpoint))
    store.put_bytes("a", b"kept")
    for _ in range(3):
        assert store.read("a") == b"kept"
        assert store.credentials is borrowing.lent[-1]
    assert len(borrowing.lent) == loans


def test_it_borrows_once_for_many_who_ask(moto: LentStorage) -> None:
    borrowing = Borrowing(moto, minutes=50)
    lender = Lender(borrowing, moto.endpoint)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: lender(), range(16)))
    assert len(borrowing.lent) == 1
    assert {one.access_key_id for one in got} == {borrowing.lent[0].access_key_id}


def test_it_lends_for_as_long_as_a_job_may_need(moto: LentStorage) -> None:
    borrowing = Borrowing(moto, minutes=30)
    lender = Lender(borrowing, moto.endpoint)
    lender()
    lender(lasting_seconds=50 * 60)
    assert len(borrowing.lent) == 2
