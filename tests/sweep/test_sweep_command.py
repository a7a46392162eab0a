"""`hikeshi sweep` from files to lines, through the children."""

import gzip
import json
import zipfile

import pytest
from click.testing import CliRunner

from hikeshi.cli.sweep import command
from hikeshi.errors import IndicatorError


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HIKESHI_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


SQUID = "".join(
    f"17260000{i:02}.000    24 10.1.15.{i} TCP_MISS/200 186 GET http://{host}/a u{i} HIER_DIRECT/192.0.2.7 text/html\n"
    for i, host in enumerate(["good.example", "EVIL.example.", "a.evil.example", "notevil.example", "good.example/?u=evil.example"]))
ODD = "2024-09-10 some device 10.9.9.9 talked to evil.example\n\x1b[31m not a record\n"


@pytest.fixture
def evidence(tmp_path):
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "proxy.log").write_text(SQUID)
    (folder / "proxy2.log.gz").write_bytes(gzip.compress(SQUID.encode()))
    (folder / "odd.txt").write_text(ODD)
    (folder / "binary.bin").write_bytes(bytes(range(256)) * 10)
    with zipfile.ZipFile(folder / "logs.zip", "w") as archive:
        archive.writestr("inner/proxy3.log", SQUID)
    return folder


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "indicators.txt"
    path.write_text("evil[.]example\n8.8.8.8\nnot an indicator\n")
    return path


def run(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


def test_folders_archives_and_unknown_text_are_swept(evidence, listed):
    result = run(evidence, "--indicators", listed, "--json", "--workers", "1")
    assert result.exit_code == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    by_file = {}
    for row in rows:
        assert set(row) >= {"indicator", "indicator_type", "role", "client", "user", "first_seen", "last_seen", "count", "bytes_out",
                            "file", "lines"}
        by_file.setdefault(row["file"].split("/")[-1], set()).add((row["role"], row["client"], tuple(row["lines"])))
    wanted = {("destination", "10.1.15.1", (2,)), ("destination", "10.1.15.2", (3,)), ("mention", "10.1.15.4", (5,))}
    assert by_file["proxy.log"] == by_file["proxy2.log"] == by_file["proxy3.log"] == wanted
    assert by_file["odd.txt"] == {("mention", "10.9.9.9", (1,))}
    one = next(r for r in rows if r["client"] == "10.1.15.1")
    assert (one["first_seen"], one["user"], one["bytes_out"]) == ("2024-09-10T20:26:41Z", "u1", None)
    assert "no log: binary.bin" in result.stderr
    assert "1 entries of the list were not used" in result.stderr


def test_nothing_seen_exits_with_zero(evidence, tmp_path):
    (tmp_path / "i.txt").write_text("other.example\n")
    result = run(evidence / "proxy.log", "--indicators", tmp_path / "i.txt", "--json")
    assert (result.exit_code, result.stdout) == (0, "")


def test_no_log_at_all_exits_with_three(evidence, listed):
    result = run(evidence / "binary.bin", "--indicators", listed, "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "binary.bin" in result.stderr


def test_an_unusable_list_is_an_error(evidence, tmp_path):
    (tmp_path / "i.txt").write_text("nothing\n")
    with pytest.raises(IndicatorError):
        run(evidence, "--indicators", tmp_path / "i.txt")


def test_the_screen_is_defanged_and_a_hostile_log_stays_inert(tmp_path, listed):
    line = SQUID.splitlines()[1].replace(" u1 ", " u\x1b[31m\x1b]0;pwn\x07 ")
    (tmp_path / "a.log").write_text("\n".join([line] * 20) + "\n")
    result = run(tmp_path / "a.log", "--indicators", listed)
    assert "evil[.]example" in result.output and "\x1b" not in result.output and "\x07" not in result.output
    assert "Next:" in result.output and result.output.index("1 contact ") < result.output.index("evil[.]example")


def test_a_compiled_list_and_no_machine_code_give_the_same_answers(evidence, listed, tmp_path, monkeypatch):
    from hikeshi.cli.indicators import command as indicators
    from hikeshi.errors import UsageError

    ready = tmp_path / "list.hksweep"
    monkeypatch.setenv("HIKESHI_KERNEL", "off")
    made = CliRunner().invoke(indicators, ["compile", str(listed), "--out", str(ready)])
    assert made.exit_code == 0 and "slower" in made.stderr and "Next:" in made.stdout
    slowly = run(evidence, "--indicators", ready, "--json")
    monkeypatch.delenv("HIKESHI_KERNEL")
    monkeypatch.delenv("HIKESHI_CACHE", raising=False)
    assert run(evidence, "--indicators", ready, "--json").stdout == slowly.stdout == run(evidence, "--indicators", listed, "--json").stdout != ""
    with pytest.raises(UsageError):
        run(evidence, "--indicators", ready, "--indicators", listed)
    assert run(evidence, "--json").exit_code == 2
