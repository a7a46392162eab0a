"""A compiled list: as good as the list, refused when it is damaged, small enough for millions."""

import pickle
import zlib

import numpy as np
import orjson
import pytest

from hikeshi.errors import IndicatorError, OutputError
from hikeshi.indicators.lists import from_values, load_indicators
from hikeshi.sweep import compile_indicators, compile_lists, is_compiled, open_compiled
from hikeshi.sweep.compiled import MAGIC, read_compiled

VALUES = ["evil.example", "203.0.113.9", "2001:db8::5", "198.51.100.0/24", "2001:db8:1::/48", "http://evil.example/gate", "http://203.0.113.9/x", "who@evil.example",
          "0123456789abcdef" * 2, "CVE-2024-3400", "xn--r8jz45g.jp"]


@pytest.fixture
def compiled():
    return compile_indicators(from_values(VALUES))


def test_a_written_list_is_the_same_list(compiled, tmp_path):
    compiled.write(tmp_path / "i.hksweep")
    for other in (open_compiled(tmp_path / "i.hksweep"), pickle.loads(pickle.dumps(compiled)),  # noqa: S301  our own bytes
                  pickle.loads(pickle.dumps(open_compiled(tmp_path / "i.hksweep")))):  # noqa: S301
        assert len(other) == len(VALUES)
        assert sorted(other.value(n) for n in range(len(other))) == sorted(compiled.value(n) for n in range(len(compiled)))
        assert other.flags == compiled.flags
        assert all((other.arrays[k] == v).all() for k, v in compiled.arrays.items())


def test_a_file_with_one_bit_changed_anywhere_is_refused(compiled, tmp_path):
    path = tmp_path / "i.hksweep"
    whole = compiled.to_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        with pytest.raises(IndicatorError) as caught:
            open_compiled(path)
        assert "compile" in str(caught.value.hint)


def test_a_cut_file_another_version_and_a_foreign_file_are_refused(compiled, tmp_path):
    path = tmp_path / "i.hksweep"
    whole = compiled.to_bytes()
    for size in (8, 15, 16, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(IndicatorError, match="damaged"):
            open_compiled(path)
    path.write_bytes(whole.replace(b'"version":1', b'"version":9', 1))
    with pytest.raises(IndicatorError, match="version 9"):
        open_compiled(path)
    path.write_bytes(b"evil.example\n")
    assert not is_compiled(path)


def test_a_made_up_file_whose_parts_do_not_fit_is_refused(compiled):
    """The check sum is right, the tables are not: machine code must never see them."""
    arrays = dict(compiled.arrays)
    for name, wrong in (("table", arrays["table"][:-1]), ("table", np.ones(16, np.uint64)), ("kinds", arrays["kinds"][:3]),
                        ("filter", arrays["filter"][:100]), ("entry_numbers", arrays["entry_numbers"] + 99), ("starts", arrays["starts"][:0]),
                        ("offsets", arrays["offsets"][::-1].copy()), ("types", arrays["types"] + 50), ("last", arrays["last"][:0])):
        broken = compile_indicators(from_values(VALUES))
        broken.arrays = arrays | {name: wrong}
        with pytest.raises(IndicatorError, match="damaged"):
            read_compiled(broken.to_bytes())
    head = orjson.dumps({"version": 1, "bytes": 0, "check": 0, "indicators": 0})
    with pytest.raises(IndicatorError, match="damaged"):
        read_compiled(MAGIC + len(head).to_bytes(4, "little") + zlib.crc32(head).to_bytes(4, "little") + head)


def test_lists_read_in_parts_give_what_the_whole_list_gives(tmp_path):
    names = [f"host{i}.evil.example" for i in range(450_000)]
    (tmp_path / "a.txt").write_text("\n".join([*names, "EVIL[.]example", "203.0.113.0/24", "203.0.113.0/24", "no indicator at all"]) + "\n")
    (tmp_path / "b.csv").write_text("value,type\nhost5.evil.example,domain\nhxxp://evil.example/a,url\n")
    compiled, told = compile_lists([tmp_path / "a.txt", tmp_path / "b.csv"])
    whole = compile_indicators(load_indicators([tmp_path / "a.txt", tmp_path / "b.csv"]))
    assert len(compiled) == len(whole) == 450_003 and told.skipped == 1
    numbers = {n for slot in range(len(compiled.arrays["table"])) if compiled.arrays["first"][slot] != compiled.arrays["first"][slot + 1]
               for _, n in compiled.entries(slot)}
    assert len(numbers) == 450_002
    assert compiled.networks_of("203.0.113.7") and not compiled.networks_of("203.0.114.7")


def test_an_empty_set_finds_nothing_and_an_unwritable_place_is_told(compiled, tmp_path):
    empty = compile_indicators([])
    assert len(empty) == 0 and len(read_compiled(empty.to_bytes())) == 0
    with pytest.raises(OutputError):
        compiled.write(tmp_path / "missing" / "i.hksweep")
