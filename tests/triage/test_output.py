"""Results appear whole, with the manifest last."""

from __future__ import annotations

from pathlib import Path

import pytest

from hikeshi.triage import output


def publish(out: Path, word: str, tables: tuple[str, ...] = ("DC01/Security.evtx",)) -> None:
    work = out / ".work"
    work.mkdir(parents=True, exist_ok=True)
    files = []
    for number, name in enumerate(tables):
        path = work / f"{number}.parquet"
        path.write_bytes(word.encode())
        files.append((name, path))
    output.publish(out, work / "staging", {"manifest.json": word.encode(), "case.json": word.encode()}, files)


def test_a_second_run_replaces_the_first_whole(tmp_path):
    publish(tmp_path, "one", ("a.evtx", "b.evtx"))
    publish(tmp_path, "two")
    assert (tmp_path / "case.json").read_text() == "two" == (tmp_path / "manifest.json").read_text()
    assert [p.name for p in (tmp_path / "events").iterdir()] == ["0001-Security.evtx.parquet"]


def test_a_run_that_stops_while_publishing_leaves_no_manifest(tmp_path, monkeypatch):
    publish(tmp_path, "one")
    real = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if self.name == "case.json":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path, "two")
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "logs.zip!/..\\..\\x.evtx", "\u202egpj.evtx", "", "....", "a" * 500])
def test_a_name_from_evidence_never_leads_out_of_the_folder(tmp_path, name):
    publish(tmp_path, "one", (name,))
    (written,) = (tmp_path / "events").iterdir()
    assert written.name.startswith("0001-") and written.name.isascii() and len(written.name) < 90
