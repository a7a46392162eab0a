"""Generated incidents: repeatable, with decoys and a truth the evidence can show; and how the story fares on a few."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from hikeshi.demo.incidents import plots, write_incident
from hikeshi.demo.incidents.run import tell
from hikeshi.demo.incidents.score import score
from hikeshi.errors import UsageError


def digest(folder: Path) -> str:
    out = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        out.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return out.hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_cast(tmp_path: Path) -> None:
    truths = [
        write_incident("vpn-stolen", tmp_path / f"{n}" / "evidence", seed=seed) for n, seed in enumerate((3, 3, 4))
    ]
    assert digest(tmp_path / "0") == digest(tmp_path / "1") != digest(tmp_path / "2")
    assert truths[0].answers["entry"] != truths[2].answers["entry"]


_SOME_OF_THE_LATER = ("ssh-guessed", "border-logs-only", "mail-server-shell", "database-guessed", "slow-desktop",
                      "printer-foothold")  # fmt: skip


@pytest.mark.parametrize("name", [p.name for p in plots() if p.wave == 1 or p.name in _SOME_OF_THE_LATER])
def test_every_plot_has_an_entry_hosts_and_decoys_that_are_not_among_them(tmp_path: Path, name: str) -> None:
    answers = write_incident(name, tmp_path / "evidence", seed=5).answers
    hosts = [*answers["compromised_hosts"], *answers["optional"].get("compromised_hosts", [])]
    assert answers["entry"]["host"] in hosts
    innocent = answers["not_compromised"]
    assert innocent["hosts"] or innocent["accounts"]
    assert not set(innocent["hosts"]) & set(answers["compromised_hosts"])
    assert not set(innocent["accounts"]) & set(answers["compromised_accounts"])


def test_an_unknown_plot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no plot is called 'vpn'"):
        write_incident("vpn", tmp_path / "evidence", seed=1)


def test_a_perfect_answer_scores_full_and_an_accused_decoy_is_named(tmp_path: Path) -> None:
    truth = write_incident("web-shell", tmp_path / "evidence", seed=2).to_dict()
    truth = json.loads(json.dumps(truth))
    case = {
        "entry_candidates": [truth["entry"] | {"rank": 1}],
        "compromised_hosts": [{"name": h} for h in truth["compromised_hosts"]],
        "compromised_accounts": [{"name": a} for a in truth["compromised_accounts"]],
        "spread": truth["spread"],
    }
    perfect = score(truth, case)
    assert perfect.entry_first
    assert not any(perfect.hosts[1] | perfect.hosts[2] | perfect.accounts[1] | perfect.accounts[2] | perfect.accused)
    decoy = truth["not_compromised"]["hosts"][0]
    worse = score(truth, case | {"compromised_hosts": [{"name": decoy}], "entry_candidates": []})
    assert not worse.entry_first
    assert worse.accused == {decoy} == worse.hosts[2]


@pytest.mark.parametrize(
    ("name", "seed"),
    [("vpn-stolen", 31), ("maintenance-port", 31), ("supplier", 31), ("edge-device", 31), ("tools-only", 31)],
)
def test_the_story_of_a_generated_incident_has_its_entry_first_and_accuses_no_decoy(
    tmp_path: Path, name: str, seed: int
) -> None:
    write_incident(name, tmp_path / "evidence", seed=seed)
    truth = json.loads((tmp_path / "truth.json").read_text("utf-8"))
    found = score(truth, tell(tmp_path / "evidence", tmp_path / "known.csv"))
    assert found.entry_first, found.entry
    assert not found.accused
    right, missed, wrong = found.hosts
    assert len(right) >= 0.9 * len(right | missed | wrong), (missed, wrong)
