"""An older answer changes only by a notice, and by a person who accepts it."""

from __future__ import annotations

import pytest

from hikeshi.knowledge import installed
from hikeshi.knowledge.keys import make_key
from hikeshi.knowledge.pack import pack_bytes
from hikeshi_desk.analysis import cards, pasted, service
from hikeshi_desk.analysis.models import Analysis, Pasted
from hikeshi_desk.analysis.run import work
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.models import Case, Message

pytestmark = pytest.mark.django_db
ONION = "medusakxxtp3uo7vusntvubnytaph4d3amxivbggl3hnhpk2nmus34yd.onion"


@pytest.fixture(autouse=True)
def own_knowledge(tmp_path, monkeypatch):
    monkeypatch.setenv("HIKESHI_KNOWLEDGE", str(tmp_path / "knowledge"))


@pytest.fixture
def newer(tmp_path):
    """A pack comes in by which Medusa's site is that of another family, as if it had been wrong so far."""
    import orjson

    def use(serial: int = 1, family: str = "akira") -> None:
        key = tmp_path / f"key{serial}"
        installed.trust(make_key(key))
        own = cards.built_in()
        facts = own.json("facts.json")
        facts["onion"][ONION] = [[family, "hikeshi"]]
        held = {**own.members, "facts.json": orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)}
        raw = pack_bytes("Newer", serial, own.sources, held, key)
        from hikeshi.knowledge.pack import read_bytes

        installed.install(raw, read_bytes(raw, "x"))
    return use


def page_of(client, case) -> str:
    return client.get(f"/desk/case/{case.pk}/").content.decode()


def refresh(case) -> Analysis:
    assert service.refresh_stale() == 1
    work(case.pk)
    return Analysis.objects.get(case=case)


def test_a_newer_pack_changes_an_answer_by_notice_and_a_person_accepts_it(consult, handler, partner_of, note, newer):
    case = consult(note)
    row = service.analyse_now(case.pk)
    assert row.summary["by"]["pack"] == "built-in" and "組み込みの知識" in page_of(handler, case)
    newer()
    row = refresh(case)
    page = page_of(handler, case)
    # What was said, what is said now, by which pack, why; the older answer still stands.
    for words in ("答えが変わりました", "Medusa → ", "知識パック「Newer」通し番号 1", "組み込みの知識", ONION[:20], "Medusa と見られます",
                  "新しい答えを受け入れる", "受け入れるまで"):
        assert words in page, words
    draft = handler.get(f"/desk/case/{case.pk}/?template=analysis").content.decode()
    assert "「Medusa」というランサムウェア" in draft
    listed = handler.get("/desk/knowledge/changed/").content.decode()
    assert case.number in listed and "知識パック「Newer」" in listed
    assert "確認待ち 1 件" in handler.get("/desk/knowledge/").content.decode()
    assert not Message.objects.filter(case=case, kind=Message.Kind.REPLY).exists()  # nothing goes out by itself
    told = row.change
    handler.post(f"/desk/case/{case.pk}/analysis/confirm/", {"at": told["at"]})
    page = page_of(handler, case)
    assert "答えが変わりました" not in page and "Medusa と見られます" not in page
    assert case.number not in handler.get("/desk/knowledge/changed/").content.decode()
    kept = Message.objects.get(case=case, kind=Message.Kind.NOTE).body
    assert "Medusa → " in kept and "Newer" in kept
    assert Entry.objects.get(act="analysis.confirmed").detail["pack"] == installed.installed_id()[:16]


def test_going_back_before_anybody_accepted_takes_the_notice_away(consult, note, handler, newer):
    case = consult(note)
    service.analyse_now(case.pk)
    newer()
    assert refresh(case).changed_at is not None
    installed.remove()
    row = refresh(case)
    assert row.change == {} and row.changed_at is None
    assert "答えが変わりました" not in page_of(handler, case)


def test_two_packs_in_turn_are_told_as_one_change_from_what_people_know(consult, note, newer):
    case = consult(note)
    service.analyse_now(case.pk)
    newer(1)
    first = refresh(case).change["after"]
    newer(2, "lockbit")
    change = refresh(case).change
    assert change["before"]["family"] == "Medusa" and change["after"] != first
    assert change["by"]["serial"] == 2 and change["by_before"]["pack"] == "built-in"


def test_other_candidates_are_a_changed_answer_too(consult, note):
    case = consult(note)
    row = service.analyse_now(case.pk)
    row.summary["words"] |= {"verdict": "candidates", "family": None, "candidates": [
        {"family": "Akira", "score": 0.4, "reasons": [], "records": []}]}
    row.save()
    Analysis.objects.filter(case=case).update(knowledge="older")
    row = refresh(case)
    assert row.change["before"]["candidates"] == ["Akira"] and row.change["after"]["family"] == "Medusa"


def test_finished_cases_are_looked_at_only_where_the_operator_says_so(consult, note, handler, newer, tmp_path):
    from hikeshi_desk import config

    case = consult(note)
    service.analyse_now(case.pk)
    handler.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": note})
    Case.objects.filter(pk=case.pk).update(state="closed")
    newer()
    assert service.refresh_stale() == 0 and not service.stale_pasted().exists()
    (tmp_path / "desk.toml").write_text("[knowledge]\nrecheck_finished = true\n")
    config.load.cache_clear()
    assert service.refresh_stale() == 1 and service.stale_pasted().count() == 1
    config.load.cache_clear()


def test_a_pasted_note_is_looked_at_again_and_its_answer_waits_for_a_person(consult, note, handler, newer):
    case = consult()
    handler.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": note})
    assert pasted.look_again() == 0
    newer()
    assert service.refresh_stale() == 0  # no evidence, no words: only the pasted text
    assert pasted.look_again() == 1
    assert pasted.look_again() == 0
    page = page_of(handler, case)
    assert "貼り付けた文の答えが変わりました" in page and "Medusa と見られます" in page
    row = Analysis.objects.get(case=case)
    handler.post(f"/desk/case/{case.pk}/analysis/confirm/", {"of": "pasted", "at": "2020-01-01"})
    assert "next" in Analysis.objects.get(case=case).asked  # an older notice accepts nothing
    handler.post(f"/desk/case/{case.pk}/analysis/confirm/", {"of": "pasted", "at": row.asked["next"]["at"]})
    row.refresh_from_db()
    assert "next" not in row.asked and row.changed_at is None and row.asked["answer"]["by"]["serial"] == 1
    asked = page_of(handler, case).split('class="asked"')[1].split("</section>")[0]
    assert "Medusa と見られます" not in asked  # in the conversation it stays as it was said


def test_a_paste_that_fails_is_not_tried_for_ever(consult, note, handler, newer, monkeypatch):
    from hikeshi.errors import ChildTimeout

    case = consult()
    handler.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": note})
    newer()

    def fail(*_):
        raise ChildTimeout("too long")
    monkeypatch.setattr(pasted, "identify_pasted", fail)
    assert pasted.look_again() == 0
    assert not service.stale_pasted().exists() and Pasted.objects.get(case=case).text == note.strip()


def test_a_party_sees_the_older_answer_until_the_desk_accepts(consult, partner_of, note):
    case = consult("x", incident="ransomware")
    row = service.analyse_now(case.pk)
    held = {"verdict": "identified", "family": "Akira", "candidates": [], "records": [], "advice_ids": []}
    row.summary["evidence"] = {**held, "family": "Medusa"}
    row.change = {"at": "2026-11-01T00:00:00+00:00", "before": {"verdict": "identified", "family": "Akira"},
                  "after": {"verdict": "identified", "family": "Medusa"}, "held": {"evidence": held, "words": {}}}
    row.save()
    page = page_of(partner_of(case, sees_findings=True), case)
    assert "Akira と見られます" in page and "Medusa" not in page and "答えが変わりました" not in page


def test_cases_with_nothing_left_to_look_at_do_not_stand_before_the_others(consult, note, newer, monkeypatch):
    monkeypatch.setattr(service, "_MOST_AT_ONCE", 1)
    older, empty = consult(note), consult("複合機が動きません", incident="ransomware")
    for case in (older, empty):
        service.analyse_now(case.pk)
    Case.objects.filter(pk=empty.pk).update(incident="")
    newer()
    assert service.refresh_stale() == 0  # the newest has nothing any more
    assert service.refresh_stale() == 1
    assert Analysis.objects.get(case=older).state == "waiting"
