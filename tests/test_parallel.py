"""Parts are worked off in any order, and give what a plain loop gives."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfkit import parallel
from nfkit.parallel import blocks, each, shares


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
