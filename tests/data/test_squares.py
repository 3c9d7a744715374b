"""Stored squares: what is written is read again, what is damaged counts as absent."""

import numpy as np
import pytest

from gantutor.data.squares import Squares

RNG = np.random.default_rng(1)
SQUARES = RNG.integers(0, 256, (5, 9, 9, 3), dtype=np.uint8)


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    if request.param == "memory":
        return Squares(5, 9)
    file = open(tmp_path / "a.pictures", "w+b", buffering=0)
    file.truncate(Squares.length(5, 9))
    return Squares(5, 9, file)


def test_length_is_a_page_for_the_checksums_and_the_bytes():
    assert Squares.length(5, 9) == 4096 + 5 * 243
    assert Squares.length(1024, 2) == 4096 + 1024 * 12
    assert Squares.length(1025, 2) == 8192 + 1025 * 12


def test_rows_are_absent_until_written_in_any_order(store):
    assert store.missing() == [0, 1, 2, 3, 4]
    for k in (3, 0):
        store.put(k, SQUARES[k])
    store.put(4, SQUARES[4].tobytes())
    assert store.missing() == [1, 2] and store.has(4) and not store.has(2)
    view = store.view()
    for k in (0, 3, 4):
        assert (store.get(k, view) == SQUARES[k]).all()
    assert store.get(1, view) is None


def test_all_zero_is_a_picture(store):
    """The CRC-32 of some rows is 0, which means absent."""
    store.put(1, np.zeros((9, 9, 3), np.uint8))
    assert store.has(1) and (store.get(1, store.view()) == 0).all()


def test_a_row_whose_checksum_is_0_is_there(monkeypatch):
    monkeypatch.setattr("zlib.crc32", lambda data: 0)
    store = Squares(2, 9)
    store.put(1, SQUARES[1])
    assert store.missing() == [0] and (store.get(1, store.view()) == SQUARES[1]).all()


def test_every_damaged_byte_of_a_file_makes_its_row_absent(tmp_path):
    path = tmp_path / "a.pictures"
    file = open(path, "w+b", buffering=0)
    file.truncate(Squares.length(5, 9))
    store = Squares(5, 9, file)
    for k, square in enumerate(SQUARES):
        store.put(k, square)
    whole = path.read_bytes()
    for place in [4 * 2, 4 * 2 + 3, *range(4096 + 2 * 243, 4096 + 3 * 243, 27)]:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        fresh = Squares(5, 9, open(path, "r+b", buffering=0))
        view = fresh.view()
        found = [fresh.get(k, view) is not None for k in range(5)]
        assert found == [True, True, False, True, True], place


def test_two_processes_may_fill_one_file(tmp_path):
    path = tmp_path / "a.pictures"
    with open(path, "w+b") as file:
        file.truncate(Squares.length(5, 9))
    one, two = (Squares(5, 9, open(path, "r+b", buffering=0)) for _ in range(2))
    one.put(0, SQUARES[0])
    two.put(1, SQUARES[1])
    two.put(0, SQUARES[0])
    for store in (one, two):
        assert store.missing() == [2, 3, 4]
        assert (store.get(1, store.view()) == SQUARES[1]).all()
