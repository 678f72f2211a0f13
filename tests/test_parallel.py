"""Parts are worked off in any order, and give what a plain loop gives."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfkit import parallel
from nfkit.parallel import blocks, each, lanes_for, shares


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 4)
    parallel._pool.cache_clear()
    yield
    parallel._pool.cache_clear()


@given(st.integers(0, 1000), st.integers(1, 300))
def test_blocks_cover_everything_once(count, size):
    found = blocks(count, size)
    assert [i for block in found for i in range(count)[block]] == list(range(count))
    assert all(0 < block.stop - block.start <= size for block in found)


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (3, [1, 1, 1]), (8, [2, 2, 2, 2]), (9, [3, 3, 3])])
@pytest.mark.usefixtures("four_cores")
def test_shares_are_one_for_each_core(count, sizes):
    assert [share.stop - share.start for share in shares(count)] == sizes


@pytest.mark.usefixtures("four_cores")
def test_results_come_in_order():
    assert each(lambda part: part * part, range(1000)) == [part * part for part in range(1000)]
    assert each(str, []) == []


@pytest.mark.usefixtures("four_cores")
def test_parts_run_at_the_same_time():
    meeting = Barrier(4, timeout=60)
    assert sorted(each(lambda _: meeting.wait(), range(4))) == [0, 1, 2, 3]


@pytest.mark.usefixtures("four_cores")
def test_an_error_in_any_part_is_raised():
    for bad in range(8):
        with pytest.raises(ZeroDivisionError):
            each(lambda part, bad=bad: 1 // (part - bad), range(8))


@pytest.mark.usefixtures("four_cores")
def test_work_within_work_does_not_wait_for_itself():
    def outer(part):
        return sum(each(lambda n: n * part, range(10)))

    assert each(outer, range(40)) == [45 * part for part in range(40)]


@pytest.mark.usefixtures("four_cores")
def test_callers_share_one_pool():
    with ThreadPoolExecutor(8) as callers:
        found = callers.map(lambda start: each(lambda n: start + n, range(100)), range(50))
        assert list(found) == [list(range(start, start + 100)) for start in range(50)]


@pytest.mark.usefixtures("four_cores")
def test_no_more_parts_at_once_than_asked_for():
    running, most, lock = 0, 0, Lock()

    def work(part):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        meeting.wait()
        with lock:
            running -= 1
        return part

    meeting = Barrier(2, timeout=60)
    assert each(work, range(40), 2) == list(range(40))
    assert most == 2


@pytest.mark.usefixtures("four_cores")
def test_after_an_error_nothing_is_begun():
    begun = []

    def work(part):
        begun.append(part)
        meeting.wait()  # both are at work, and both fail
        raise ZeroDivisionError

    meeting = Barrier(2, timeout=60)
    with pytest.raises(ZeroDivisionError):
        each(work, range(100), 2)
    assert len(begun) == 2


@given(st.integers(0, 100), st.integers(1, 64))
def test_lanes_share_threads_evenly_and_have_enough_to_do(batches, threads):
    lanes = lanes_for(batches, threads)
    assert threads % lanes == 0
    assert lanes == 1 or batches >= 2 * lanes
