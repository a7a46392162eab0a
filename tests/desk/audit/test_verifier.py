"""The separate verifier: finds every random tampering of an export or of the database, and a cut tail with a head."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src"
PROGRAM = ROOT / "tools" / "verify_audit.py"


def _verifier():
    spec = importlib.util.spec_from_file_location("verify_audit", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verifier = _verifier()
_FILL = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from hikeshi_desk.audit.log import record
for index in range(60):
    record(f"user {index % 7}", "test.act", f"case:{index}", count=index, name='表\\u2028 "x" \\\\ é', none=None,
           nested={"b": [1, True], "a": {}}, ratio=0.1)
"""


def _run(data: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HIKESHI_", "DJANGO_", "DATABASE_"))}
    environment |= {"HIKESHI_DATA": str(data), "PYTHONPATH": str(SOURCE), "DJANGO_SETTINGS_MODULE": "hikeshi_desk.settings"}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=300, check=False)


def _hikeshi(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(data, "-m", "hikeshi", "desk", *words, "--data", str(data))


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("desk")
    assert _run(data, "-c", _FILL).returncode == 0
    return data


@pytest.fixture(scope="module")
def head(desk) -> str:
    done = _hikeshi(desk, "audit-head", "--save", str(desk / "heads"))
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[0]


@pytest.fixture(scope="module")
def export(desk, head) -> list[bytes]:
    done = _hikeshi(desk, "audit-export", "--out", str(desk / "log.jsonl"))
    assert done.returncode == 0, done.stderr
    assert (desk / "log.jsonl").stat().st_mode & 0o777 == 0o600
    return (desk / "log.jsonl").read_bytes().splitlines(keepends=True)


def _verdict(path: Path, *words: str) -> int:
    return verifier.main([str(path), *words])


def test_what_nobody_touched_holds_as_export_and_as_database(desk, export, head):
    for path in (desk / "log.jsonl", desk / "desk.sqlite3"):
        done = subprocess.run([sys.executable, "-I", str(PROGRAM), str(path), "--head", head, "--head-file",
                               str(desk / "heads")], capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode, done.stdout) == (0, f"holds: 60 rows, head {head}\n"), done.stderr
    assert json.loads((desk / "heads").read_text())["sequence"] == 60


def test_none_of_1500_random_tamperings_of_an_export_stays_hidden(tmp_path, export, head):
    chance, path = random.Random(11), tmp_path / "log.jsonl"
    kinds = {"byte": 0, "field": 0, "delete": 0, "swap": 0, "insert": 0, "double": 0, "cut": 0, "half": 0}
    for _ in range(1500):
        lines, kind, at = list(export), chance.choice(list(kinds)), chance.randrange(len(export))
        if kind == "byte":
            place = chance.randrange(len(lines[at]))
            lines[at] = lines[at][:place] + bytes([lines[at][place] ^ 1 << chance.randrange(8)]) + lines[at][place + 1:]
        elif kind == "field":  # whole and well-formed, only not true
            row = json.loads(lines[at])
            row[chance.choice(["actor", "act", "subject", "at"])] += chance.choice(["x", " ", "\0"])
            lines[at] = verifier.canonical(row) + b"\n"
        elif kind == "delete":
            del lines[at]
        elif kind == "swap":
            other = chance.choice([n for n in range(len(lines)) if n != at])
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "insert":
            lines.insert(at, lines[chance.randrange(len(lines))].replace(b"test.act", b"test.bct"))
        elif kind == "double":
            lines.insert(at, lines[at])
        elif kind == "cut":
            lines = lines[:at]
        else:
            lines[-1] = lines[-1][:chance.randrange(len(lines[-1]))]
        path.write_bytes(b"".join(lines))
        assert _verdict(path, "--head", head) == 1, (kind, at)
        kinds[kind] += 1
    assert min(kinds.values()) > 100


def test_none_of_300_random_tamperings_of_the_database_stays_hidden(tmp_path, desk, head, export):
    chance = random.Random(12)
    source = sqlite3.connect(desk / "desk.sqlite3")
    path = tmp_path / "copy.sqlite3"
    with sqlite3.connect(path) as copy:
        source.backup(copy)
    database = sqlite3.connect(path)
    database.execute("PRAGMA ignore_check_constraints = ON")  # whoever tampers is not polite
    kept = database.execute("SELECT * FROM audit_entry").fetchall()
    for _ in range(300):
        number, kind = chance.randrange(1, 61), chance.choice(["delete", "edit", "renumber", "cut", "null", "moved"])
        if kind == "delete":
            database.execute("DELETE FROM audit_entry WHERE sequence = ?", [number])
        elif kind == "edit":
            column = chance.choice(["actor", "act", "subject", "previous", "digest", "at", "detail"])
            database.execute(f"UPDATE audit_entry SET {column} = replace({column}, substr({column}, ?, 1), '9') || '9' "
                             "WHERE sequence = ?", [chance.randrange(1, 5), number])
        elif kind == "renumber":
            database.execute("DELETE FROM audit_entry WHERE sequence = ?", [number])
            database.execute("UPDATE audit_entry SET sequence = sequence + 1000 WHERE sequence > ?", [number])
            database.execute("UPDATE audit_entry SET sequence = sequence - 1001 WHERE sequence > 1000")
        elif kind == "cut":
            database.execute("DELETE FROM audit_entry WHERE sequence >= ?", [number])
        elif kind == "null":
            database.execute("UPDATE audit_entry SET detail = 'null', at = 'never' WHERE sequence = ?", [number])
        else:
            database.execute("UPDATE audit_entry SET sequence = 1000 WHERE sequence = ?", [number])
        database.commit()
        assert _verdict(path, "--head", head) == 1, (kind, number)
        database.execute("DELETE FROM audit_entry")
        database.executemany(f"INSERT INTO audit_entry VALUES ({','.join('?' * 9)})", kept)
        database.commit()
    assert _verdict(path, "--head", head) == 0
    source.close()


def test_a_cut_tail_is_seen_only_with_a_head_noted_before(tmp_path, export, head, capsys):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(export[:-1]))
    assert _verdict(path) == 0
    assert "can't be seen" in capsys.readouterr().err
    assert _verdict(path, "--head", head) == 1
    assert "row 60: missing" in capsys.readouterr().out


def test_a_log_rewritten_from_the_first_row_is_seen_with_a_head(tmp_path, export, head, capsys):
    import hashlib

    path, previous, lines = tmp_path / "log.jsonl", verifier.FIRST, []
    for line in export:
        row = json.loads(line) | {"actor": "somebody else", "previous": previous}
        del row["digest"]
        previous = hashlib.sha256(verifier.canonical(row)).hexdigest()
        lines.append(verifier.canonical(row | {"digest": previous}) + b"\n")
    path.write_bytes(b"".join(lines))
    assert _verdict(path) == 0
    assert _verdict(path, "--head", head) == 1
    assert "row 60: differs from the head" in capsys.readouterr().out


def test_one_content_has_one_spelling(tmp_path, export):
    path = tmp_path / "log.jsonl"
    for line in (export[0].replace(b'"act":', b'"act": '), export[0].replace(b"test.act", b"test\\u002eact"),
                 export[0].replace(b'{"act"', b'{"act":"x","act"'), export[0].rstrip() + b"\r\n", export[0].rstrip(),
                 b"\xef\xbb\xbf" + export[0], b"\n" + export[0], b"[" * 100_000, b"NaN\n", b"{}\n"):
        path.write_bytes(line)
        assert _verdict(path) == 1, line[:40]
    path.write_bytes(export[0])
    assert _verdict(path) == 0
    path.write_bytes(b"")
    assert _verdict(path) == 0


def test_what_is_no_log_and_what_is_no_head_is_said(tmp_path, desk, export):
    assert _verdict(tmp_path / "none") == 3
    other = tmp_path / "other.sqlite3"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE x (y)")
    assert _verdict(other) == 3
    for words in ("5", "5:abc", "-1:" + "a" * 64, "x:" + "a" * 64, "5:" + "g" * 64):
        with pytest.raises(SystemExit) as stopped:
            _verdict(desk / "log.jsonl", "--head", words)
        assert stopped.value.code == 2
    assert _hikeshi(desk, "audit-export", "--out", str(desk / "log.jsonl")).returncode != 0, "nothing is overwritten"
    assert _hikeshi(tmp_path, "audit-head").returncode == 2, "no desk there"
