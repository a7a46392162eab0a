"""Result rows as lines: the bytes are those of the rows."""

import numpy as np
import orjson
import pytest

from hikeshi.detect.match import Match
from hikeshi.detect.result import result_lines, result_rows
from hikeshi.detect.rules import RuleInfo
from hikeshi.events.table import EventTable, encode
from hikeshi.events.time import NO_TIME


def rule(title, **more):
    given = {"id": title, "title": title, "author": "A \"quoted\" 作者", "level": "high", "tactics": ("execution",),
             "techniques": (), "path": "r.yml", "description": "", "status": "", "falsepositives": ()} | more
    return RuleInfo(**given)


def table(times):
    count = len(times)
    made = EventTable(count, np.array(times, dtype=np.int64))
    made.columns["winlog.record_id"] = encode([n if n % 3 else None for n in range(count)])
    made.columns["event.code"] = encode([None if n == 1 else ["4688", "x\n", "007", ""][n % 4] for n in range(count)])
    made.columns["host.name"] = encode([f"ホスト{n % 2}" for n in range(count)])
    made.columns["log.file.path"] = encode([["a/b\\c.evtx", "d.evtx"][n % 2] for n in range(count)])
    made.columns["log.line"] = encode(list(range(count)))
    return made


TIMES = [1_790_000_000_000_000, 1_790_000_000_123_456, NO_TIME, 0, -1, 5, 1_600_000_000_000_001, 7]


@pytest.mark.parametrize("times", [TIMES, [t for t in TIMES if t != NO_TIME], [2**62, -(2**62), 0],
                                   [-60_000_000_000_000_000, 252_999_999_999_999_999]])
def test_lines_are_the_rows(times):
    made = table(times)
    rows = np.arange(len(times), dtype=np.int32)
    matches = [Match(rule("one"), rows[::2]), Match(rule("二つ"), rows), Match(rule("three"), rows[:0])]
    expected = [orjson.dumps(r, option=orjson.OPT_APPEND_NEWLINE) for r in result_rows(made, matches)]
    assert result_lines(made, matches) == expected
    hashes = {"d.evtx": "f" * 64}
    with_hash = [orjson.dumps(r, option=orjson.OPT_APPEND_NEWLINE) for r in result_rows(made, matches, hashes=hashes)]
    assert result_lines(made, matches, hashes=hashes) == with_hash
    told = [orjson.loads(line) for line in with_hash]
    assert {(r["path"], r.get("sha256")) for r in told} <= {("a/b\\c.evtx", None), ("d.evtx", "f" * 64)}
    order = np.argsort(np.concatenate([m.rows for m in matches]), kind="stable")
    assert result_lines(made, matches, order) == [expected[n] for n in order.tolist()]


def test_nothing_gives_nothing():
    assert result_lines(table(TIMES), []) == []
    assert list(result_rows(table(TIMES), [])) == []
