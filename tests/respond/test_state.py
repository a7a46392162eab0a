"""The file of marks: who did what and when, nothing ever lost, undone marks still there."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hikeshi.errors import DamagedInput, OutputError, UsageError
from hikeshi.respond.state import add_marks, load_state, undo

AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def test_states_follow_each_other_and_the_history_stays(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    state = load_state(path)
    for name in ("requested", "applied", "verified"):
        add_marks(state, [("evil.example", "proxy", name), ("evil.example", "dns", name)], by="sato", at=AT, device="PX-1")
    again = load_state(path)
    assert again.current()["evil.example", "proxy"].state == "verified" and not again.open_items()
    assert [m.state for m in again.marks if m.control == "dns"] == ["requested", "applied", "verified"]
    assert again.applied_at("evil.example", "proxy") == "2026-11-01T12:00:00Z"
    assert again.marks[0].by == "sato" and again.marks[0].device == "PX-1"


def test_undo_brings_the_mark_before_back_and_keeps_both(tmp_path: Path) -> None:
    state = load_state(tmp_path / "state.jsonl")
    add_marks(state, [("evil.example", "proxy", "requested")], by="a", at=AT)
    add_marks(state, [("evil.example", "proxy", "applied")], by="b", at=AT)
    undo(state, 2, by="c", at=AT, note="wrong device")
    again = load_state(state.path)
    assert again.current()["evil.example", "proxy"].state == "requested"
    assert again.applied_at("evil.example", "proxy") is None and len(again.marks) == 3
    for number in (2, 3, 99):
        with pytest.raises(UsageError):
            undo(again, number, by="c", at=AT)


@pytest.mark.parametrize(("marks", "by", "note"), [
    ([("x", "proxy", "not_needed")], "a", ""), ([("x", "proxy", "applied")], " ", ""), ([("x", "fax", "applied")], "a", ""),
    ([("x", "proxy", "maybe")], "a", "")])
def test_a_mark_without_name_or_reason_is_refused(tmp_path: Path, marks: list[tuple[str, str, str]], by: str, note: str
                                                   ) -> None:
    with pytest.raises(UsageError):
        add_marks(load_state(tmp_path / "s"), marks, by=by, at=AT, note=note)
    assert not (tmp_path / "s").exists()


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    add_marks(load_state(path), [("a.example", "proxy", "applied")], by="a", at=AT)
    with path.open("ab") as file:
        file.write(b'{"id":2,"at":"2026')  # the power went
    add_marks(load_state(path), [("b.example", "proxy", "applied")], by="a", at=AT)
    again = load_state(path)
    assert {s for s, _ in again.current()} == {"a.example", "b.example"} and again.broken_lines == [2]


@pytest.mark.parametrize("content", [b"\x00\xff", b"[1]\n", b'{"id": "x"}', b"PK\x03\x04" * 9])
def test_another_file_is_refused_as_a_state(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(DamagedInput):
        load_state(tmp_path / "s")


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        add_marks(load_state(tmp_path / "nowhere" / "s"), [("a", "proxy", "applied")], by="a", at=AT)


def test_several_people_at_once_all_keep_their_marks(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    code = ("import sys; from datetime import UTC, datetime; from pathlib import Path\n"
            "from hikeshi.respond.state import add_marks, load_state\n"
            "for n in range(20):\n"
            "    add_marks(load_state(Path(sys.argv[1])), [(f'{sys.argv[2]}-{n}.example', 'proxy', 'applied')],"
            " by=sys.argv[2], at=datetime.now(UTC))\n")
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), name], env={"PYTHONPATH": ":".join(sys.path)})
               for name in "abcd"]
    assert all(p.wait() == 0 for p in running)
    assert len(load_state(path).current()) == 80 and not load_state(path).broken_lines
    assert all(json.loads(line) for line in path.read_text().splitlines())
