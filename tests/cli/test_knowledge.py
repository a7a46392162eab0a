"""`hikeshi knowledge` as a person uses it: keys, a pack from folders, import, an answer, and back again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hikeshi.cli.main import main

ROOT = Path(__file__).parents[2]
ONION = "z" * 4 + "bcdefghijklm" * 4 + "2345.onion"
NOTE = ("Your files are encrypted and were copied. To get a decryptor pay in bitcoin.\n"
        f"Contact us with the Tor browser: http://{ONION}/ and give the number 77.\n")
NO_NETWORK = ("import socket, sys\ndef refuse(*a, **k): raise SystemExit('a connection was opened')\n"
              "socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse\n"
              "from hikeshi.cli.main import main\nsys.exit(main(sys.argv[1:]))")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HIKESHI_KNOWLEDGE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pack(home):
    """A pack that knows a family of our own making, its key, and a note of that family."""
    (home / "notes" / "Black_Lamp").mkdir(parents=True)
    (home / "notes" / "Black_Lamp" / "LAMP-README.txt").write_text(NOTE)
    assert main(["knowledge", "key", "desk"]) == 0
    assert main(["knowledge", "build", "--out", "a.hkpack", "--key", "desk", "--notes", "notes", "--as-of", "2026-11-02"]) == 0
    (home / "hello.txt").write_text(f"All your files are encrypted. Pay in bitcoin for the decryptor.\nhttp://{ONION}/\n")
    return home / "a.hkpack"


def run(*arguments: str, umask: int = 0o022, **environment: str) -> bytes:
    done = subprocess.run([sys.executable, "-c", NO_NETWORK, *arguments], capture_output=True, check=False, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
                          preexec_fn=lambda: os.umask(umask) and None)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_the_same_input_is_the_same_file_in_any_surroundings_without_a_network(pack):
    run("knowledge", "build", "--out", "b.hkpack", "--key", "desk", "--notes", "notes", "--as-of", "2026-11-02",
        umask=0o077, TZ="Pacific/Kiritimati", LC_ALL="ja_JP.UTF-8", LANG="C", PYTHONHASHSEED="77", HIKESHI_CACHE="cache")
    assert Path("b.hkpack").read_bytes() == pack.read_bytes()


def test_a_family_only_the_pack_knows_is_named_until_it_is_removed(pack, capsys):
    def family():
        capsys.readouterr()
        main(["identify", "--json", "--workers", "1", "hello.txt"])
        answer = json.loads(capsys.readouterr().out)
        assert answer["family"] or "Black Lamp" not in {one["family"] for one in answer["candidates"]}
        return answer["family"]

    assert family() is None
    assert main(["knowledge", "import", "a.hkpack"]) == 3  # nobody here knows the signer
    assert "--trust" in capsys.readouterr().err and family() is None
    assert main(["knowledge", "import", "a.hkpack", "--trust", "desk.pub"]) == 0
    assert family() == "Black Lamp"
    assert main(["knowledge", "remove"]) == 0
    assert family() is None
    assert main(["knowledge", "import", "a.hkpack"]) == 0  # the signer stays trusted
    installed = Path("home/current.hkpack")
    installed.write_bytes(installed.read_bytes()[:-9])
    capsys.readouterr()
    main(["identify", "--workers", "1", "hello.txt"])
    assert "知識パックを使えません" in capsys.readouterr().err


def test_a_refused_pack_brings_no_trust(pack, capsys):
    pack.write_bytes(pack.read_bytes().replace(b"blacklamp", b"whitelamp", 1))
    assert main(["knowledge", "import", "a.hkpack", "--trust", "desk.pub"]) == 3
    assert not list(Path("home").rglob("*.pub"))
    assert main(["knowledge", "verify", "a.hkpack"]) == 3


def test_status_verify_and_diff(pack, capsys):
    assert main(["knowledge", "build", "--out", "bare.hkpack"]) == 0
    assert "can't be imported" in capsys.readouterr().err
    assert main(["knowledge", "import", "bare.hkpack"]) == 3 and "not signed" in capsys.readouterr().err
    assert main(["knowledge", "verify", "a.hkpack"]) == 3
    assert main(["knowledge", "status"]) == 0
    shown = capsys.readouterr()
    assert "built-in" in shown.out and "older than 90 days" in shown.err
    main(["knowledge", "import", "a.hkpack", "--trust", "desk.pub"])
    assert main(["knowledge", "verify", "a.hkpack"]) == 0
    capsys.readouterr()
    assert main(["knowledge", "status", "--json", "--old", "36500"]) == 0
    shown = capsys.readouterr()
    rows = {row["id"]: row for row in map(json.loads, shown.out.splitlines())}
    assert rows["notes"]["date"] == "2026-11-02" and rows["notes"]["pack"] and not shown.err
    assert rows["attack"]["days"] > 0 and not rows["attack"]["old"]
    assert main(["knowledge", "diff", "a.hkpack", "a.hkpack"]) == 0
    capsys.readouterr()
    assert main(["knowledge", "diff", "bare.hkpack", "a.hkpack", "--json"]) == 1
    changes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"change": "added", "kind": "onion", "value": ONION} in changes
    assert {"change": "added", "kind": "family", "value": "blacklamp"} in changes
    assert {one["change"] for one in changes} == {"added"}
    signer = next(Path("home/trusted").glob("*.pub")).stem
    assert main(["knowledge", "forget", signer]) == 0 and main(["knowledge", "forget", signer]) == 2


def test_what_is_asked_wrongly_is_told(home, capsys):
    assert main(["knowledge", "build", "--out", "x.hkpack", "--notes", "none"]) == 3
    assert main(["knowledge", "build", "--out", "x.hkpack", "--as-of", "soon"]) == 3
    assert main(["knowledge", "build", "--out", "x.hkpack", "--name", ""]) == 2
    assert main(["knowledge", "import", "none.hkpack"]) == 3
    assert main(["knowledge", "nothing"]) == 2
    assert not Path("x.hkpack").exists()
