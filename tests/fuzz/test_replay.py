"""What fuzzing kept, and changes made anew from a fixed seed: machine code and package say the same, in time."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz import compare
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import inputs

from hikeshi.parse import evtx, evtx_fast, evtx_recover

CORPUS = Path(__file__).parent / "corpus"
KEPT = sorted(p for p in CORPUS.rglob("*") if p.is_file())
QUICK = settings(deadline=None, derandomize=True, database=None, max_examples=120,
                 suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def loaded():
    """The machine code, made for these tests where the user has none."""
    if evtx_fast.code.location(make=True) is None:
        pytest.skip("no machine code here: numba or the cache folder is missing")
    evtx_fast.code.forget()
    yield evtx_fast.code.load()
    evtx_fast.code.forget()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    yield folder / "a.evtx"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def checked(monkeypatch):
    """The machine code's source as plain Python, which notices every look outside of its arrays."""
    monkeypatch.setattr(evtx, "FastRows", compare.Checked)
    monkeypatch.setitem(compare._kept, "fast", [])
    return compare.plain_code()


def test_all_that_was_kept_is_read_alike(loaded, path):
    assert KEPT
    for kept in KEPT:
        compare.check(path, kept.read_bytes(), loaded)


def test_seeds_are_read_whole(loaded, path):
    assert [compare.check(path, data, loaded) for data in inputs()] == [
        records + (12 if data[0] & compare.NEIGHBOURS else 0)
        for data, records in zip(inputs(), (1, 1, 1, 1, 1, 2, 3, 4, 5, 5, 8, 12), strict=True)]


def test_no_place_outside_of_an_array(checked, path):
    for number, data in enumerate([*inputs(), *(p.read_bytes() for p in KEPT[:20])]):
        compare.check(path, mutated(data, number), checked)


def test_a_look_outside_is_noticed(checked, path):
    guarded = compare._Guarded(bytearray(10), 2, 8)
    assert guarded[2] == 0
    for place in (-1, 1, 8, 10):
        with pytest.raises(compare.Outside):
            guarded[place]
        with pytest.raises(compare.Outside):
            guarded[place] = 1


def test_a_difference_is_noticed(loaded, path, monkeypatch):
    monkeypatch.setitem(evtx_fast._FORMS, 0x15, lambda raw: "wrong")
    with pytest.raises(compare.Different, match="wrong' by machine code"):
        for data in inputs():
            compare.check(path, data, loaded)


@QUICK
@given(st.sampled_from(inputs()), st.integers(0, 1 << 32))
def test_changed_chunks_are_read_alike(loaded, path, given_input, seed):
    compare.check(path, mutated(given_input, seed), loaded)


@QUICK
@given(st.sampled_from(inputs()), st.integers(0, 1 << 32))
def test_changed_chunks_give_up_their_records_in_order(given_input, seed):
    data = mutated(given_input, seed)
    places = [found.offset for found in evtx_recover.recover(data)]
    assert places == sorted(set(places))
    assert all(data[place:place + 4] == b"**\0\0" for place in places)
