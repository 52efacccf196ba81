"""Workers keep copies of the files that are asked for again and again, and give out no other."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from execution.engine import filecache
from execution.engine.domain import Held, path_of
from execution.engine.filecache import FileCache, Source, Target
from tests.patience import until

LONG = 600.0


@dataclass
class Bucket:
    """Objects, and how often each was asked for."""

    objects: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)

    def source(self, key: str, content: bytes = b"PAR1" * 250, size_bytes: int = 0) -> Source:
        """Return a file that is there, with `content` where it was not yet."""
        self.objects.setdefault(key, content)
        self.tags.setdefault(key, "first")

        def fetch(target: Target) -> str:
            self.fetched.append(key)
            held = self.objects[key]
            for start in range(0, len(held), 100):
                target.write(held[start : start + 100])
            return self.tags[key]

        def tag() -> str:
            self.looked_at.append(key)
            return self.tags[key]

        return Source(("catalog", key), size_bytes or len(self.objects[key]), fetch, tag)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], FileCache]]:
    monkeypatch.setattr(filecache, "LOOK_SECONDS", 0.02)
    made: list[FileCache] = []

    def make(budget_bytes: int = 10**6) -> FileCache:
        made.append(FileCache(budget_bytes))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make: Callable[[], FileCache]) -> FileCache:
    return make()


def hot(cache: FileCache, source: Source) -> Held:
    """Ask for a file until there is a copy, and return that."""
    found: list[Held] = []

    def is_there() -> bool:
        copy = cache.copy(source, seconds=0)
        found.extend([copy] if copy else [])
        return copy is not None

    until(is_there, "it was never copied")
    return found[0]


def content(copy: Held) -> bytes:
    with open(path_of(copy.fileno()), "rb") as opened:  # noqa: PTH123 - no path on a disk
        return opened.read()


def asked(cache: FileCache, source: Source, times: int = 5) -> list[Held | None]:
    return [cache.copy(source, seconds=0) for _ in range(times)]


def never_copied(cache: FileCache, bucket: Bucket, source: Source) -> bool:
    """Ask for a file, then for another that is copied after it: what came first was left then."""
    assert asked(cache, source) == [None] * 5
    other = hot(cache, bucket.source("the one after"))
    held = len(content(other))
    return cache.copy(source, seconds=0) is None and cache.held_bytes == held


# --- What is copied -------------------------------------------------------------------------------
def test_it_copies_what_is_asked_for_again(cache: FileCache, bucket: Bucket) -> None:
    once, twice = bucket.source("once"), bucket.source("twice")
    assert [cache.copy(one, seconds=0) for one in (once, twice, twice)] == [None] * 3
    copy = hot(cache, twice)
    assert content(copy) == bucket.objects["twice"]
    assert bucket.fetched == ["twice"]
    assert cache.held_bytes == len(bucket.objects["twice"])


def test_it_forgets_what_was_asked_for_long_ago(
    cache: FileCache, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    seldom = bucket.source("seldom")
    with monkeypatch.context() as patch:
        patch.setattr(filecache, "LIFE_SECONDS", -1.0)
        assert asked(cache, seldom) == [None] * 5
    hot(cache, bucket.source("often"))
    assert bucket.fetched == ["often"]


def test_it_gives_a_copy_to_those_only_who_read_the_file_themselves(
    cache: FileCache, bucket: Bucket
) -> None:
    source = bucket.source("theirs")
    hot(cache, source)
    other = replace(source, identity=("another catalog", "theirs"))
    assert cache.copy(other, seconds=0) is None


def test_it_leaves_large_files_and_more_than_its_budget(
    make: Callable[[int], FileCache], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make(2000)
    assert never_copied(cache, bucket, bucket.source("too much for all", bytes(2001)))
    monkeypatch.setattr(filecache, "MOST_FILE_BYTES", 1500)
    assert never_copied(cache, bucket, bucket.source("too large", bytes(1600)))


@pytest.mark.parametrize("said", [999, 1001])
def test_it_keeps_nothing_of_a_file_that_is_not_as_the_lake_says(
    cache: FileCache, bucket: Bucket, said: int
) -> None:
    assert never_copied(cache, bucket, bucket.source("other", bytes(1000), size_bytes=said))
    assert "other" in bucket.fetched


def test_it_goes_on_where_a_bucket_fails(cache: FileCache, bucket: Bucket) -> None:
    source = bucket.source("lost")
    del bucket.objects["lost"]
    assert never_copied(cache, bucket, source)
    assert "lost" in bucket.fetched


def test_it_rests_where_there_is_no_memory(
    cache: FileCache, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Target) -> str:
        raise OSError(12, "Cannot allocate memory")

    source = replace(bucket.source("large"), fetch=full)
    until(lambda: asked(cache, source) == [None] * 5 and cache._paused_until > 0, "it went on")
    assert cache.held_bytes == 0
    other = bucket.source("other")
    assert asked(cache, other) == [None] * 5
    monkeypatch.setattr(cache, "_paused_until", 0.0)
    hot(cache, other)


# --- How long -------------------------------------------------------------------------------------
def test_it_lets_go_what_was_longest_not_asked_for_and_is_promised_to_nobody(
    make: Callable[[int], FileCache], bucket: Bucket
) -> None:
    cache = make(3000)
    promised, oldest, newer = (bucket.source(name) for name in ("promised", "oldest", "newer"))
    for source in (promised, oldest, newer):
        hot(cache, source)
    assert cache.copy(promised, seconds=LONG)
    assert cache.copy(oldest, seconds=0)
    assert cache.copy(newer, seconds=0)
    latest = bucket.source("latest")
    hot(cache, latest)
    assert cache.copy(oldest, seconds=0) is None
    assert all(cache.copy(source, seconds=0) for source in (promised, newer, latest))
    assert cache.held_bytes == 3000


def test_it_makes_no_room_by_what_it_has_promised(
    make: Callable[[int], FileCache], bucket: Bucket
) -> None:
    cache = make(1000)
    promised = bucket.source("promised")
    hot(cache, promised)
    assert cache.copy(promised, seconds=LONG)
    assert asked(cache, bucket.source("another")) == [None] * 5
    assert asked(cache, bucket.source("one more")) == [None] * 5
    until(cache._wanted.empty, "it does not look")
    assert cache.copy(promised, seconds=0)
    assert cache.held_bytes == 1000


def test_it_asks_the_bucket_again_before_a_copy_is_old(
    cache: FileCache, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = bucket.source("same")
    copy = hot(cache, source)
    held = cache._copies[source.identity]
    held.confirmed_at -= 0.6 * filecache.LIFE_SECONDS
    before = held.confirmed_at
    assert cache.copy(source, seconds=0) is copy
    until(lambda: held.confirmed_at > before, "it was not renewed")
    assert (bucket.looked_at, bucket.fetched) == (["same"], ["same"])
    assert cache.copy(source, seconds=0) is copy


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_it_gives_out_no_more_what_the_bucket_has_no_more(
    cache: FileCache, bucket: Bucket, change: str
) -> None:
    source = bucket.source("changing")
    copy = hot(cache, source)
    cache._copies[source.identity].confirmed_at -= 0.6 * filecache.LIFE_SECONDS
    if change == "replaced":
        bucket.tags["changing"] = "second"
    else:
        del bucket.tags["changing"]
    assert cache.copy(source, seconds=0) is copy
    until(lambda: cache.held_bytes == 0, "it is still there")
    assert cache.copy(source, seconds=0) is None
    assert content(copy) == bucket.objects["changing"]


def test_it_gives_out_no_old_copy_and_counts_it_while_somebody_may_hold_it(
    cache: FileCache, bucket: Bucket
) -> None:
    source = bucket.source("old")
    hot(cache, source)
    assert cache.copy(source, seconds=LONG)
    held = cache._copies[source.identity]
    held.confirmed_at -= 2 * filecache.LIFE_SECONDS
    assert cache.copy(source, seconds=0) is None
    assert cache.held_bytes == 1000
    held.promised_until = 0.0
    until(lambda: cache.held_bytes == 0, "it is still there")


# --- What it is -----------------------------------------------------------------------------------
def test_it_makes_files_that_nobody_changes(cache: FileCache, bucket: Bucket) -> None:
    copy = hot(cache, bucket.source("fixed"))
    path = path_of(copy.fileno())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(copy.fileno(), b"x")
    with pytest.raises(PermissionError):
        os.truncate(path, 0)
    opened = os.open(path, os.O_RDWR)  # as root, whatever its mode
    with pytest.raises(PermissionError):
        os.write(opened, b"x")
    os.close(opened)
    assert content(copy) == bucket.objects["fixed"]


def test_it_leaves_nothing_open(cache: FileCache, bucket: Bucket) -> None:
    descriptor = hot(cache, bucket.source("one")).fileno()
    assert filecache.NAME in str(Path(path_of(descriptor)).readlink())
    cache.close()
    gc.collect()
    until(lambda: not is_a_copy(descriptor), "it is still open")
    assert asked(cache, bucket.source("one")) == [None] * 5


def is_a_copy(descriptor: int) -> bool:
    try:
        return filecache.NAME in str(Path(path_of(descriptor)).readlink())
    except OSError:
        return False
