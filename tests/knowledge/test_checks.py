"""Articles with commands that look and change nothing."""

from __future__ import annotations

import pytest

from hikeshi.errors import KnowledgeError
from hikeshi.knowledge.checks import load_checks

ARTICLE = """[[check]]
id = "x"
techniques = ["T1059"]
written_on = "2026-11-22"
status = "unverified"
title = { ja = "見る", en = "Look" }
why = { ja = "理由", en = "Because" }
look_for = [{ ja = "これ", en = "This" }]
[[check.command]]
shell = "SHELL"
run = 'RUN'
"""


def article(tmp_path, run: str, shell: str = "cmd"):
    path = tmp_path / "checks.toml"
    path.write_text(ARTICLE.replace("RUN", run).replace("SHELL", shell), "utf-8")
    return load_checks(path)


def test_the_articles_cover_the_places_to_look_each_with_commands_and_signs():
    found = load_checks()
    assert {"autostart", "connections", "logons", "processes", "accounts", "traces-removed"} <= set(found)
    for one in found.values():
        assert one.commands and one.look_for and all(t.startswith("T1") for t in one.techniques)
        assert one.status == "unverified"  # nobody ran them on Windows yet; the page says so


@pytest.mark.parametrize("run", [
    "net user intruder /delete", "net user x /add", "schtasks /change /tn x", "vssadmin delete shadows /all", "reg delete HKLM\\X",
    "Remove-Item x", "Stop-Process -Id 4", "Get-Process | Stop-Process", "netstat -ano > c:\\x", "dir & del x", "dir; del x", "taskkill /pid 4",
    "wevtutil cl Security", "Clear-EventLog Security", "Invoke-Expression x", "iex x", "ipconfig /flushdns", "reg add HKLM\\X", "shutdown /r",
    "Get-X @{a=$(Remove-Item x)}", "Out-File x", "Set-Content x", "curl evil.example"])
def test_a_command_that_changes_something_is_refused(tmp_path, run):
    with pytest.raises(KnowledgeError):
        article(tmp_path, run)


@pytest.mark.parametrize("run", ["netstat -ano", "reg query HKLM\\X", "vssadmin list shadows", "schtasks /query /v", "net user"])
def test_a_command_that_looks_is_taken(tmp_path, run):
    assert article(tmp_path, run)["x"].commands[0].run == run


def test_an_unknown_shell_or_an_article_without_a_command_is_refused(tmp_path):
    with pytest.raises(KnowledgeError):
        article(tmp_path, "ls", "bash")
    path = tmp_path / "none.toml"
    path.write_text(ARTICLE.split("[[check.command]]")[0], "utf-8")
    with pytest.raises(KnowledgeError):
        load_checks(path)
