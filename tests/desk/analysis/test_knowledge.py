"""Packs of knowledge at the desk: looked at, taken into use, undone, handed on; and what everybody may read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.uploadedfile import SimpleUploadedFile

from hikeshi.knowledge import installed
from hikeshi.knowledge.keys import key_id, make_key, written
from hikeshi.knowledge.pack import PackSource, pack_bytes
from hikeshi_desk.analysis import cards, knowledge, packs, service
from hikeshi_desk.analysis.models import PackUse, State
from hikeshi_desk.audit.models import Entry

pytestmark = pytest.mark.django_db
PAGE = "/desk/knowledge/"


@pytest.fixture(autouse=True)
def own_knowledge(tmp_path, monkeypatch):
    monkeypatch.setenv("HIKESHI_KNOWLEDGE", str(tmp_path / "knowledge"))


@pytest.fixture
def lead(member, sign_in):
    return sign_in(member("lead", name="山田"))


@pytest.fixture
def key(tmp_path) -> tuple[Path, str]:
    """A signer's private key and public key."""
    return tmp_path / "signer", make_key(tmp_path / "signer")


@pytest.fixture
def pack(key):
    """The built-in knowledge as a signed pack, with other members or another signer where a test says so."""
    def make(serial: int = 20261101, *, signer: Path | None = key[0], name: str = "Test pack", date: str = "2026-11-01",
             **members: bytes) -> bytes:
        own = cards.built_in()
        held = {**own.members, **{f"{name}.jsonl": content for name, content in members.items()}}
        sources = [*own.sources, PackSource("test", "Test source", "CC0-1.0", "1", date, "https://example.org")]
        return pack_bytes(name, serial, sources, held, signer)
    return make


VECTOR = (b'{"date":"2026-11-01","licence":"CC0-1.0","record":{"count":1,"cve":"CVE-2026-12345","family":"akira",'
          b'"first_seen":"2026-11-01","last_seen":"2026-11-05","licence":"CC0-1.0","product":"Example VPN","source":"test",'
          b'"status":"2026-11-06","technique":"T1190","written_on":"2026-11-06"},"source":"test"}\n')


def bring(client, raw: bytes):
    return client.post(f"{PAGE}import/", {"pack": SimpleUploadedFile("a.hkpack", raw)})


def trust(client, public: str):
    return client.post(f"{PAGE}trust/", {"key": written(public).decode()})


def said(answer) -> str:
    return answer.content.decode()


def test_the_page_tells_what_answers_from_where_how_old_and_how_much(lead):
    page = said(lead.get(PAGE))
    for words in ("組み込みの知識", "MITRE ATT&amp;CK", "Apache-2.0", "古い", "復号ツール", "脅迫文の特徴",
                  "渡せるパックはありません"):
        assert words in page, words
    counts = dict(cards.card_in_use()["counts"])
    assert all(counts[name] > 10 for name in ("families", "actors", "notes", "decryptors", "vectors", "advice"))
    assert f"<b>{counts['families']:,}</b>" in page


def test_a_pack_is_shown_before_it_is_used_then_used_handed_on_and_undone(lead, key, pack, consult, note):
    row = service.analyse_now(consult(note).pk)
    trust(lead, key[1])
    raw = pack(vectors=VECTOR, date="unknown")
    answer = bring(lead, raw)
    assert answer.status_code == 302 and installed.installed() is None  # nothing is in use before a person says so
    shown = lead.get(answer.url)
    page = said(shown)
    for words in ("Test pack", "20261101", key_id(key[1]), "CVE-2026-12345", "組み込みの知識", "このパックを使う", "Test source", "日付不明"):
        assert words in page, words
    answer = lead.post(f"{answer.url}use/")
    assert answer.status_code == 302 and installed.installed().serial == 20261101
    page = said(lead.get(PAGE))
    for words in ("Test pack（通し番号 20261101）", key_id(key[1]), "山田", "調べ直す相談: 1 件"):
        assert words in page, words
    row.refresh_from_db()
    assert row.state == State.WAITING
    # Whoever is handed the file imports the very same.
    handed = lead.get(f"{PAGE}pack/")
    assert handed.content == raw and "knowledge-20261101.hkpack" in handed["Content-Disposition"]
    assert lead.get(f"{PAGE}key/{key_id(key[1])}/").content == written(key[1])
    lead.post(f"{PAGE}undo/", {"pack": installed.installed().id})
    assert installed.installed() is None
    acts = list(Entry.objects.order_by("sequence").values_list("act", flat=True))
    wanted = ["knowledge.trusted", "knowledge.looked_at", "knowledge.imported", "knowledge.taken_out", "knowledge.undone"]
    assert [act for act in acts if act.startswith("knowledge.")] == wanted
    use = PackUse.objects.get()
    assert use.ended_at and use.ended_by.name == "山田"


def test_undo_goes_back_to_the_pack_before_and_then_further(lead, key, pack):
    trust(lead, key[1])
    for serial in (1, 2, 3):
        lead.post(f"{bring(lead, pack(serial)).url}use/")
    for serial in (2, 1, None):
        lead.post(f"{PAGE}undo/", {"pack": installed.installed().id})
        found = installed.installed()
        assert (found and found.serial) == serial
    # After an undo the newer one comes in again.
    assert lead.post(f"{bring(lead, pack(2)).url}use/").status_code == 302
    assert installed.installed().serial == 2


def test_undo_passes_over_a_pack_that_is_gone_or_no_longer_trusted(lead, key, pack, tmp_path):
    trust(lead, key[1])
    other = make_key(tmp_path / "other")
    trust(lead, other)
    lead.post(f"{bring(lead, pack(1)).url}use/")
    lead.post(f"{bring(lead, pack(2, signer=tmp_path / 'other')).url}use/")
    lead.post(f"{bring(lead, pack(3)).url}use/")
    assert said(lead.post(f"{PAGE}distrust/", {"key": key_id(key[1])})).count("使用中のパックの署名者です")
    lead.post(f"{PAGE}distrust/", {"key": key_id(other)})
    lead.post(f"{PAGE}undo/", {"pack": installed.installed().id})
    assert installed.installed().serial == 1


def changed(raw: bytes) -> bytes:
    """One byte of a member is another one."""
    at = raw.index(b"families") + 4000
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(50_000_000))
    return out.getvalue()


@pytest.mark.parametrize(("make", "reason", "next_step"), [
    (lambda p, _: changed(p(5)), "書き換えられています", "もう一度受け取ってください"),
    (lambda p, _: p(5)[:-100], "壊れている", "もう一度受け取ってください"),
    (lambda p, _: p(5) + b"x", "壊れている", "もう一度受け取ってください"),
    (lambda p, _: b"MZ" + bytes(1000), "知識パックではない", "もう一度受け取ってください"),
    (lambda p, _: bomb(), "知識パックではない", "もう一度受け取ってください"),
    (lambda p, _: p(5, signer=None), "署名がありません", "署名したパックを頼んで"),
    (lambda p, other: p(5, signer=other), "登録されていない署名者", "署名者を登録する"),
    (lambda p, _: p(1, name="Older"), "新しくありません", "取り込みを取り消す"),
    (lambda p, _: p(2), "すでに使っているパック", "何もする必要はありません"),
    (lambda p, _: p(5, vectors=b'{"source":"t","licence":"l","date":"d","record":{"x":1}}\n'), "内容をこのHikeshiで使えません",
     "作った人に知らせて"),
    (lambda p, _: b"", "空です", "パックのファイル"),
])
def test_what_may_not_come_in_is_refused_with_a_reason_and_a_next_step(lead, key, pack, tmp_path, make, reason, next_step):
    trust(lead, key[1])
    lead.post(f"{bring(lead, pack(2)).url}use/")
    make_key(tmp_path / "other")
    answer = bring(lead, make(pack, tmp_path / "other"))
    assert answer.status_code == 422
    page = said(answer)
    assert reason in page and next_step in page
    assert installed.installed().serial == 2
    assert not list((tmp_path / "knowledge" / "waiting").iterdir())  # nothing of it stays


def test_a_pack_is_not_used_after_the_knowledge_moved_on_or_its_signer_was_dropped(lead, key, pack):
    trust(lead, key[1])
    first, second = bring(lead, pack(1)).url, bring(lead, pack(2)).url
    lead.post(f"{second}use/")
    assert "ほかの人が知識を変えました" in said(lead.post(f"{first}use/"))
    lead.post(f"{PAGE}undo/", {"pack": installed.installed().id})
    lead.post(f"{PAGE}distrust/", {"key": key_id(key[1])})
    assert "登録されていない署名者" in said(lead.post(f"{first}use/"))
    assert installed.installed() is None
    # What lies there was changed by somebody with access to the disk.
    trust(lead, key[1])
    path = packs._place("waiting") / f"{first.rstrip('/').rsplit('/', 1)[1]}.hkpack"
    path.write_bytes(path.read_bytes() + b"x")
    assert "書き換えられています" in said(lead.post(f"{first}use/"))
    assert installed.installed() is None


def test_an_undo_seen_late_undoes_nothing_newer(lead, key, pack):
    trust(lead, key[1])
    lead.post(f"{bring(lead, pack(1)).url}use/")
    old = installed.installed().id
    lead.post(f"{bring(lead, pack(2)).url}use/")
    assert "ほかの人が知識を変えました" in said(lead.post(f"{PAGE}undo/", {"pack": old}))
    assert installed.installed().serial == 2


def test_a_pack_of_the_command_line_is_shown_and_undone_too(lead, key, pack, tmp_path):
    from hikeshi.knowledge.admit import admit

    installed.trust(key[1])
    (tmp_path / "a.hkpack").write_bytes(pack(7))
    admit(tmp_path / "a.hkpack")
    assert "コマンドから" in said(lead.get(PAGE))
    lead.post(f"{bring(lead, pack(8)).url}use/")
    lead.post(f"{PAGE}undo/", {"pack": installed.installed().id})
    assert installed.installed().serial == 7
    lead.post(f"{PAGE}undo/", {"pack": installed.installed().id})
    assert installed.installed() is None


@pytest.mark.parametrize("line", ["", "x", "hikeshi-knowledge " + "g" * 64, "-----BEGIN PRIVATE KEY-----", "a" * 5000])
def test_what_is_no_public_key_is_refused(lead, line):
    answer = lead.post(f"{PAGE}trust/", {"key": line})
    assert "公開鍵ではありません" in said(answer) and not installed.trusted()


def test_everybody_with_a_role_reads_and_only_leads_change(lead, member, sign_in, key, pack):
    trust(lead, key[1])
    waiting = bring(lead, pack(1)).url
    lead.post(f"{waiting}use/")
    second = bring(lead, pack(2)).url
    for role, desk in (("handler", True), ("reader", True), ("auditor", True), ("partner", False), ("reader", False)):
        client = sign_in(member(role, desk=desk, name=f"{role}{desk}"))
        page = said(client.get(PAGE))
        assert "Test pack" in page and "この取り込み" not in page and 'type="file"' not in page, role
        assert client.get(f"{PAGE}pack/").status_code == 200
        for path in ("import/", "undo/", "trust/", "distrust/"):
            assert client.post(PAGE + path, {"pack": installed.installed().id}).status_code == 404, (role, path)
        assert client.get(second).status_code == 404
        assert client.post(f"{second}use/").status_code == 404
        # Who did it, and the changed answers, are the desk's own business.
        assert ("山田" in page) is desk
        assert client.get(f"{PAGE}changed/").status_code == (200 if desk else 404)
    assert installed.installed().serial == 1


def test_families_and_actors_are_looked_up(lead, member, sign_in):
    partner = sign_in(member("partner", desk=False, name="FR"))
    page = said(partner.get(f"{PAGE}families/?q=akira"))
    assert "/desk/knowledge/family/akira/" in page and "LockBit" not in page
    assert "ありません" in said(partner.get(f"{PAGE}families/", {"q": "<b>nobody</b>"}))
    page = said(partner.get(f"{PAGE}family/akira/"))
    for words in ("Akira", "CVE-2024-40766", "それより前の報告", "最初にすること", "復号ツール", "使われていないという意味ではありません"):
        assert words in page, words
    page = said(partner.get(f"{PAGE}actor/Wizard Spider/"))
    assert "Wizard Spider" in page and "種別と攻撃者は別のものです" in page
    for missing in ("family/nothing/", "actor/nobody at all/", "family/%00/", "actor/../../x/"):
        assert partner.get(PAGE + missing).status_code == 404, missing


def test_the_window_is_the_operators(lead, key, pack, settings, tmp_path):
    from hikeshi_desk import config

    trust(lead, key[1])
    lead.post(f"{bring(lead, pack(vectors=VECTOR)).url}use/")
    assert "過去 90 日" in said(lead.get(f"{PAGE}family/akira/")) and "CVE-2026-12345" in said(lead.get(f"{PAGE}family/akira/"))
    (tmp_path / "desk.toml").write_text("[knowledge]\ndays = 5\nold_days = 3650\n")
    config.load.cache_clear()
    page = said(lead.get(f"{PAGE}family/akira/"))
    assert "過去 5 日" in page and "過去5日の新しいデータはありません" in page
    assert "古いデータです" not in said(lead.get(PAGE))
    config.load.cache_clear()


@pytest.mark.parametrize("line", ["days = 0", "days = true", 'old_days = "9"', "recheck_finished = 1", "daus = 3",
                                  "days = 99999"])
def test_a_wrong_setting_stops_the_start(settings, tmp_path, line):
    from hikeshi_desk import config

    (tmp_path / "desk.toml").write_text(f"[knowledge]\n{line}\n")
    config.load.cache_clear()
    with pytest.raises(ImproperlyConfigured, match="knowledge"):
        knowledge.options()
    config.load.cache_clear()
