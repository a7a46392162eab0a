"""`hikeshi identify` on files, folders, archives and standard input."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from rich.cells import cell_len

from hikeshi.cli.main import main
from hikeshi.knowledge.families import load_families

random.seed(5)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    families = load_families()
    onion = next(v for v in families.values("onion") if {f.family for f in families.facts("onion", v)} == {"akira"})
    folder = tmp_path / "evidence"
    (folder / "FS-01" / "D").mkdir(parents=True)
    (folder / "FS-01" / "D" / "note.txt").write_text(
        f"Your files are encrypted. Pay in bitcoin to get a decryptor.\nContact us: http://{onion}\n", encoding="utf-16")
    for number in range(3):
        (folder / "FS-01" / "D" / f"{number}.docx.akira").write_bytes(random.randbytes(9000))
    (folder / "FS-01" / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + random.randbytes(9000))
    (folder / "about.txt").write_text("A list of what was copied from the servers.\n", encoding="utf-8")
    return folder


def lines(capsysbinary) -> list[dict]:
    return [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]


def test_a_folder_gives_a_line_for_each_text_and_each_suspicious_file(evidence, capsysbinary):
    assert main(["identify", str(evidence), "--json"]) == 1
    found = {line["path"]: line for line in lines(capsysbinary)}
    assert set(found) == {"FS-01/D/note.txt", "FS-01/D/0.docx.akira", "FS-01/D/1.docx.akira", "FS-01/D/2.docx.akira", "about.txt"}
    answer = found["FS-01/D/note.txt"]
    assert (answer["verdict"], answer["family"]) == ("identified", "Akira")
    assert answer["candidates"][0]["reasons"][0]["en"].startswith("line 2: the onion address")
    assert answer["candidates"][0]["records"][0]["line"] == 2
    assert len(answer["candidates"][0]["records"][0]["sha256"]) == 64
    assert "ransomware-first-hour" in answer["advice_ids"]
    assert found["about.txt"]["verdict"] == "not_ransomware"


def test_people_get_the_answer_first_and_the_next_command_last(evidence, capsys):
    assert main(["identify", str(evidence)]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == "ランサムウェア Ransomware: Akira"
    assert "3 files carry the extension" in told.out
    assert "Do not switch them off" in told.out
    assert all(cell_len(line) <= 80 for line in told.out.splitlines())
    assert "Next: hikeshi triage" in told.err.splitlines()[-1]


def test_notes_inside_an_archive_are_found(evidence, tmp_path, capsysbinary):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in evidence.rglob("*.txt"):
            out.write(path, path.name)
    assert main(["identify", str(archive), "--json"]) == 1
    assert {line["verdict"] for line in lines(capsysbinary)} == {"identified", "not_ransomware"}


def test_nothing_found_is_exit_code_0(tmp_path, capsysbinary):
    (tmp_path / "a.txt").write_text("all quiet\n")
    assert main(["identify", str(tmp_path / "a.txt"), "--json"]) == 0
    assert lines(capsysbinary)[0]["verdict"] == "not_ransomware"


def test_a_missing_file_is_exit_code_3(tmp_path, capsys):
    assert main(["identify", str(tmp_path / "gone.txt")]) == 3
    assert "gone.txt" in capsys.readouterr().err


def test_standard_input_is_read(evidence):
    data = (evidence / "FS-01" / "D" / "note.txt").read_bytes()
    done = subprocess.run([sys.executable, "-m", "hikeshi", "identify", "-", "--json"], input=data,
                          capture_output=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["family"] == "Akira"


def test_ways_in_and_actors_stand_beside_the_family_and_nowhere_else(evidence, capsysbinary):
    assert main(["identify", str(evidence), "--json", "--days", "30"]) == 1
    found = {line["path"]: line for line in lines(capsysbinary)}
    vectors = found["FS-01/D/note.txt"]["vectors"]
    assert vectors["recent"] == [] and vectors["says"]["en"].startswith("No recent data (last 30 days)")
    assert any(one["cve"] == "CVE-2024-40766" and one["unverified"] for one in vectors["older"])
    assert "T1486" in {one["id"] for one in vectors["known_undated"]}
    actors = found["FS-01/D/note.txt"]["actors"]
    assert actors and all({"name", "relation", "source", "confidence"} <= set(one) for one in actors)
    assert all(isinstance(one["relation"], str) for one in actors)
    assert found["about.txt"]["vectors"] is None and found["about.txt"]["actors"] == []


def test_people_are_told_of_decryptors_with_their_limits_and_that_nothing_is_recent(evidence, capsys):
    main(["identify", str(evidence)])
    told = capsys.readouterr().out
    assert "No recent data (last 90 days)" in told and "Announced: Avast (2023-06)" in told
    assert all(cell_len(line) <= 80 for line in told.splitlines())
