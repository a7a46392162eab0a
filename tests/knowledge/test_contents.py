"""What names of files and folders say of their content."""

from __future__ import annotations

import pytest

from hikeshi.errors import KnowledgeError
from hikeshi.knowledge.contents import guess, load_contents


def ids(*names):
    return [kind.id for kind in guess(names)]


@pytest.mark.parametrize(("name", "kind"), [
    ("\\\\FS01\\HR\\2026", "personal"), ("D:\\人事\\名簿.xlsx", "personal"), ("ﾏｲﾅﾝﾊﾞｰ一覧.csv", "personal"),
    ("/srv/customer_list.csv", "customers"), ("患者/2026.csv", "medical"), ("E:\\Payroll", "finance"),
    ("契約書.docx", "contracts"), ("a.DWG", "design"), ("D:\\*.pst", "mail"), ("C:\\Windows\\NTDS\\ntds.dit", "credentials"),
    ("orders.sql", "database"), ("dc.vmdk", "machines"),
])
def test_names_that_speak(name, kind):
    assert kind in ids(name)


@pytest.mark.parametrize("name", [
    "three.txt", "chrome.exe", "taxonomy.pdf", "clientless", "C:\\PerfLogs\\d.7z", "", "\\", "….", "D:\\data", "boarding.png",
])
def test_names_that_say_nothing(name):
    assert ids(name) == []


def test_the_most_often_named_comes_first():
    assert ids("a.dwg", "b.dwg", "顧客.csv") == ["design", "customers"]


def test_endless_names_are_looked_at_in_part():
    assert ids("x" * 10_000_000 + "顧客") == [] and ids(*("x" for _ in range(200_000)), "顧客") == []


def test_a_file_that_is_wrong_is_refused(tmp_path):
    for text in ("[[kind]]\nid = 'a'\n", "[[kind]]\nid='a'\nsays={ja='あ',en='a'}\nwords=[]\nwritten_on='2026-11-23'\n", "[[other]]\n"):
        (tmp_path / "c.toml").write_text(text)
        load_contents.cache_clear()
        with pytest.raises(KnowledgeError):
            load_contents(tmp_path / "c.toml")
    load_contents.cache_clear()
    assert len(load_contents()) >= 10
