"""The pages: what stands on them, who may see them, what forms do there."""

from __future__ import annotations

import io
import zipfile

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hikeshi_desk.accounts.models import Role
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.respond import acts, kinds, lists, page, propose
from hikeshi_desk.respond.models import Decision, Mark, Measure, Response

pytestmark = pytest.mark.django_db
PAGES = ("", "machines/", "blocks/", "accounts/", "mail/", "protocols/", "plan/", "history/", "blocklist/squid.zip")
ACTS = ("begin", "propose", "mark", "take_back", "add", "withdraw", "restore", "ask", "unask", "set_plan", "decide",
        "approve", "withdraw_decision")


def address(case, name="") -> str:
    return f"/desk/case/{case.pk}/response/{name}"


def shown(client, case, name="", **query) -> str:
    answer = client.get(address(case, name), query)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def do(client, case, act, **fields):
    return client.post(address(case, f"do/{act}/"), fields, follow=True).content.decode()


@pytest.fixture
def full(begun, sato):
    case = begun()
    acts.add_machine(case, sato, host="WS01", why="EDR")
    acts.add_account(case, sato, account="t.mori", host="WS01")
    acts.add_blocks(case, sato, values="198.51.100.77\nevil.duckdns.org\nhttp://evil.example/a", why="EDR")
    return case


def one(case, control, subject) -> str:
    return str(Measure.objects.get(case=case, control=control, subject=subject).pk)


def test_a_case_that_has_not_begun_says_so_and_begins_by_a_button(consult, handler):
    case = consult()
    for name in ("", "machines/", "mail/"):
        assert "まだ始めていません" in shown(handler, case, name)
    assert not Response.objects.exists()  # looking begins nothing
    assert "履歴" in shown(handler, case, "history/")
    assert "手順と状態" in do(handler, case, "begin")
    assert "まだ始めていません" not in shown(handler, case)


def test_by_hand_from_the_first_to_the_last(consult, handler):
    case = consult()
    do(handler, case, "begin")
    assert "WS01" in do(handler, case, "add", back="machines", host="WS01", why="電話")
    assert "198[.]51[.]100[.]77" in do(handler, case, "add", back="blocks", values="198[.]51[.]100[.]77", why="EDR")
    assert "t.mori (WS01)" in do(handler, case, "add", back="accounts", account="t.mori", host="WS01", kind="vpn")
    assert "SMTP" in do(handler, case, "add", back="protocols", name="SMTP")
    ws = one(case, "isolation", "WS01")
    assert "根拠が必要" in do(handler, case, "mark", back="machines", ids=[ws], state="verified", note="電話で聞いた")
    assert "記録しました" in do(handler, case, "mark", back="machines", ids=[ws], state="verified", evidence="14:20のログ")
    told = shown(handler, case, "history/")
    assert "14:20のログ" in told and "佐藤" in told
    assert "取り消しました" in do(handler, case, "take_back", back="history", mark=str(Mark.objects.get().pk), note="違う")
    assert "取り消されました" in shown(handler, case, "history/")


def test_what_was_typed_stands_in_the_refused_form_again(full, handler):
    ws = one(full, "isolation", "WS01")
    back = do(handler, full, "mark", back="machines", ids=[ws], state="verified", note="電話で聞いた", device="SW-3")
    assert 'value="電話で聞いた"' in back and 'value="SW-3"' in back and f'value="{ws}" checked' in back
    assert 'value="verified" selected' in back
    assert 'value="電話で聞いた"' not in shown(handler, full, "machines/")  # once
    assert "1.1.1.1" in do(handler, full, "add", back="blocks", values="1.1.1.1", why="")
    back = do(handler, full, "set_plan", decider="CISO", contacts="本部, a@example.jp")
    assert "メールアドレスは" in back and "本部, a@example.jp" in back


def test_progress_is_said_in_words_beside_the_bar(full, handler, sato):
    acts.mark_measures(full, sato, ids=[one(full, "isolation", "WS01")], state="verified", evidence="x")
    for where in (address(full), f"/desk/case/{full.pk}/"):
        text = handler.get(where).content.decode()
        assert 'aria-label="切り離す機器: 1件中1件が完了"' in text and "1件中1件が完了</span>" in text
        assert 'aria-label="遮断先: 10件中0件が完了"' in text


def test_no_contacts_without_mail_is_a_warning(consult, handler, sato):
    case = consult()
    acts.begin_response(case, sato)
    for where in (address(case), f"/desk/case/{case.pk}/"):
        assert "メールが使えないときの連絡先がありません" in handler.get(where).content.decode()
    do(handler, case, "set_plan", contacts="対策本部，090-0000-0000")
    text = shown(handler, case)
    assert "メールが使えないときの連絡先がありません" not in text and "090-0000-0000" in text


@pytest.mark.parametrize("fields", [
    {"contacts": "対策本部"}, {"contacts": ", 090"}, {"contacts": "本部, a@example.jp"}, {"own_domains": "not a name at all"},
    {"own_networks": "10.0.0.0/99"}, {"never_block": "<script>"}, {"deputies": "\n".join(f"人{n}" for n in range(600))}])
def test_a_plan_with_a_wrong_line_is_refused_whole(full, handler, fields):
    before = Response.objects.get(case=full).plan
    do(handler, full, "set_plan", decider="別の人", **fields)
    assert Response.objects.get(case=full).plan == before


def test_long_lists_have_pages_and_filters(begun, handler, sato):
    case = begun()
    acts.add_blocks(case, sato, values="\n".join(f"198.51.{n // 200}.{n % 200 + 1}" for n in range(130)), why="x")
    first = shown(handler, case, "blocks/")
    assert first.count('name="ids"') == 4 * kinds.PAGE and "130件のうち1〜50" in first and 'rel="next"' in first
    last = shown(handler, case, "blocks/", page="3")
    assert last.count('name="ids"') == 4 * 30 and 'rel="next"' not in last
    for odd in ("0", "-1", "99999", "x", "９", "1" * 50):
        shown(handler, case, "blocks/", page=odd)
    acts.mark_measures(case, sato, ids=(), controls=("dns",), state="verified", evidence="x")
    assert shown(handler, case, "blocks/", show="done").count('name="ids"') == kinds.PAGE
    assert shown(handler, case, "blocks/", show="<script>").count('name="ids"') == 4 * kinds.PAGE
    page_ids = [part.split('"')[0] for part in first.split('name="ids" value="')[1:]]
    assert "記録しました" in do(handler, case, "mark", back="blocks", ids=page_ids, state="requested")


def test_a_page_of_many_asks_few_times(begun, handler, sato):
    case = begun()
    acts.add_blocks(case, sato, values="\n".join(f"198.51.100.{n}" for n in range(1, 101)), why="x")
    acts.mark_measures(case, sato, ids=(), controls=kinds.BLOCKING, state="applied")
    for name in ("", "blocks/", "history/", "machines/"):
        handler.get(address(case, name))
        with CaptureQueriesContext(connection) as seen:
            shown(handler, case, name)
        assert len(seen) <= 20, (name, len(seen))


def test_strangers_words_stay_words(full, handler, sato):
    bad = "<img src=x onerror=1>\x1b[31m\u202e"
    acts.add_machine(full, sato, host=bad, why=bad)
    acts.add_account(full, sato, account=bad, host=bad)
    acts.mark_measures(full, sato, ids=(), controls=("isolation",), state="verified", note=bad, evidence=bad, device=bad)
    acts.set_plan(full, sato, form={"decider": bad, "contacts": f"{bad}, {bad}", "criteria": bad})
    acts.decide_cut_off(full, sato, answer="full", role=" ".join(bad.split()), name=bad, reason=bad, at=timezone.now())
    for name in PAGES[:-1]:
        text = shown(handler, full, name)
        assert "<img src=x" not in text, name
    for name in ("machines/", "accounts/"):
        assert "\\u202e" in shown(handler, full, name) or "\\x1b" in shown(handler, full, name)


def test_broken_forms_are_answered(full, handler):
    for act in ACTS[:-3]:
        for fields in ({}, {"ids": ["x", "\0", "9" * 40]}, {"state": "<b>", "back": "//evil.example"}, {"mark": "\0"},
                       {"back": "blocks", "values": "\0", "page": "99999999"}, {"measure": "x"}):
            answer = handler.post(address(full, f"do/{act}/"), fields)
            assert answer.status_code == 302 and answer.url.startswith(f"/desk/case/{full.pk}/response/"), (act, fields)
    for fields in ({}, {"answer": "full", "role": "x"}, {"decision": "x", "why": "x"},
                   {"answer": "full", "role": "CISO", "name": "x", "reason": "x", "at": "9999-12-31T23:59"},
                   {"answer": "full", "role": "CISO", "name": "x", "reason": "x", "at": "0001-01-01T00:00"}):
        for act in ("decide", "withdraw_decision"):
            assert handler.post(address(full, f"do/{act}/"), fields).status_code == 302
    assert Decision.objects.count() <= 1


# Who sees it

def test_a_party_and_another_organisation_meet_a_page_that_does_not_exist(full, partner_of, begun, sign_in, member):
    missing = "/desk/case/00000000-0000-4000-8000-000000000000/response/"
    outsiders = [partner_of(full), partner_of(full, Role.READER), partner_of(begun()), sign_in(member(Role.READER, desk=False)),
                 sign_in(member(Role.LEAD, desk=False))]
    for client in outsiders:
        nothing = client.get(missing)
        for name in PAGES:
            answer = client.get(address(full, name))
            assert (answer.status_code, answer.content) == (404, nothing.content), name
        for act in ACTS:
            answer = client.post(address(full, f"do/{act}/"), {"ids": [one(full, "isolation", "WS01")], "state": "applied"})
            assert answer.status_code == 404 and answer.content == nothing.content, act
    assert not Mark.objects.exists()
    assert "封じ込め" not in outsiders[0].get(f"/desk/case/{full.pk}/").content.decode()


def test_an_auditor_and_a_reader_of_the_desk_look_and_do_nothing(full, sign_in, member):
    for role in (Role.AUDITOR, Role.READER):
        client = sign_in(member(role))
        for name in ("", "machines/", "blocks/", "mail/", "history/"):
            text = shown(client, full, name)
            assert "response/do/" not in text and "blocklist/" not in text, name
        assert client.get(address(full, "plan/")).status_code == 404
        assert client.get(address(full, "blocklist/squid.zip")).status_code == 404
        for act in ACTS:
            assert client.post(address(full, f"do/{act}/"), {}).status_code == 404


def test_looking_changes_nothing(full, handler):
    before = Entry.objects.count(), list(Measure.objects.values()), list(Response.objects.values())
    for name in PAGES[:-1]:
        shown(handler, full, name)
    assert (Entry.objects.count(), list(Measure.objects.values()), list(Response.objects.values())) == before


# Block lists

def opened(answer) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_list_to_load_for_each_device_with_how_to_undo(full, handler):
    answer = handler.get(address(full, "blocklist/all.zip"))
    assert answer["Content-Disposition"].endswith('-all.zip"') and answer["Content-Type"] == "application/zip"
    files = opened(answer)
    folders = {name.split("/")[0] for name in files}
    assert folders == {one.id for one in lists.devices()}
    assert "198.51.100.77" in "".join(text for name, text in files.items() if name.startswith("fortigate/"))
    assert all("戻し方 / Undo" in files[f"{folder}/READ-ME.txt"] for folder in folders)
    assert Entry.objects.filter(act="case.take_block_list", subject=f"case:{full.pk}").count() == 1
    handler.head(address(full, "blocklist/all.zip"))
    assert Entry.objects.filter(act="case.take_block_list").count() == 1


def test_what_is_not_needed_withdrawn_or_protected_is_in_no_list(full, handler, sato):
    acts.mark_measures(full, sato, ids=[one(full, "dns", "evil.duckdns.org")], state="not_needed", note="x")
    files = opened(handler.get(address(full, "blocklist/all.zip")))
    rpz = "".join(text for name, text in files.items() if name.startswith("rpz/"))
    squid = "".join(text for name, text in files.items() if name.startswith("squid/"))
    assert "evil.duckdns.org" in squid and "evil.duckdns.org" not in rpz and "100.51.198" in rpz
    acts.withdraw_measures(full, sato, ids=[one(full, control, "198.51.100.77") for control in kinds.BLOCKING], why="x")
    acts.set_plan(full, sato, form={"never_block": "evil.duckdns.org"})
    files = opened(handler.get(address(full, "blocklist/all.zip")))
    text = "".join(text for name, text in files.items() if name != "HELD-BACK.txt")
    assert "198.51.100.77" not in text and "evil.duckdns.org" not in text and "evil.example" in text
    assert "evil.duckdns.org" in files["HELD-BACK.txt"]
    assert "止めていないもの" in shown(handler, full, "blocks/")


@pytest.mark.parametrize("device", ["x", "..", "all.zip", "squid.zip", "SQUID", "%00"])
def test_a_device_nobody_knows_has_no_list(full, handler, device):
    assert handler.get(address(full, f"blocklist/{device}.zip")).status_code == 404


def test_with_nothing_to_block_there_is_no_list(begun, handler):
    case = begun()
    assert handler.get(address(case, "blocklist/all.zip")).status_code == 404
    assert "遮断リスト</h2>" not in shown(handler, case, "blocks/")


def test_thousands_of_destinations_become_lists(begun, handler):
    case = begun()
    rows = [Measure(case=case, control=control, subject=f"198.51.{n // 250}.{n % 250 + 1}", key=kinds.key_of(control, str(n)),
                    position=n, told={"type": "ipv4"}) for n in range(1200) for control in kinds.BLOCKING]
    Measure.objects.bulk_create(rows, batch_size=200)
    files = opened(handler.get(address(case, "blocklist/nftables.zip")))
    assert "".join(files.values()).count("198.51.") >= 1200
    assert "1,200件のうち1〜50" in shown(handler, case, "blocks/")


# The analysis

def test_the_page_offers_a_newer_result_and_shows_what_came_of_it(analysed, handler):
    case = analysed()
    do(handler, case, "begin")
    assert "新しい解析結果があります" in shown(handler, case)
    propose.propose(case.pk)
    text = shown(handler, case)
    assert "新しい解析結果があります" not in text and "全面遮断を提案します" in text
    machines = shown(handler, case, "machines/")
    assert machines.index("FS01") < machines.index("WS01") and "a.zip!/Security.evtx" in machines and "暗号化" in machines
    assert "1[.]1[.]1[.]1" in shown(handler, case, "blocks/")
    assert "取り込む新しい案はありません" in do(handler, case, "propose")


def test_english_and_japanese_pages_are_whole(analysed, handler, sato):
    case = analysed()
    propose.propose(case.pk)
    acts.mark_measures(case, sato, ids=(), controls=kinds.CONTROLS[1:], state="requested")
    handler.cookies["django_language"] = "en"
    for name in PAGES[:-1]:
        text = shown(handler, case, name)
        assert "Containment" in text or "case" in text
    assert page.state_names()
    assert "Take the machines off the network" in shown(handler, case)
