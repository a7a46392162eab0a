"""The advice comes into a reply section by section, in the asker's language, and only what was ticked."""

from __future__ import annotations

import html

import pytest
from tests.desk.cases.test_pages import url

from hikeshi_desk.cases.models import Message

ALL = ("steps", "not_to_do", "evidence", "decryptor", "theft", "negotiation", "recovery", "duties", "prevention")


def shown(client, case, query: str = "") -> tuple[str, str]:
    """The whole page and what stands in the reply form."""
    page = client.get(url("case", case) + query).content.decode()
    return page, html.unescape(page.split('id="reply-body"')[1].split(">", 1)[1].split("</textarea>")[0])


def test_every_section_can_be_left_out_before_anything_is_sent(consult, handler, sign_in):
    case, client = consult("ファイルが開けません", incident="ransomware"), sign_in(handler)
    page, draft = shown(client, case, "?template=advice")
    assert all(f'name="part" value="{one}"' in page for one in ALL)
    assert 'value="prevention" checked' not in page and 'value="duties" checked' in page
    for words in ("■ 最初の1時間", "■ してはいけないこと", "■ 先に守る証拠", "■ 復号ツール", "■ 情報の持ち出し",
                  "■ 交渉と支払いについての事実", "■ 復旧の順番", "■ 届出と連絡（日本）"):
        assert words in draft, words
    assert "■ この後の予防" not in draft and "電源は切らないでください" in draft and "未確認" in draft
    _, draft = shown(client, case, "?template=advice&chosen=advice&part=duties&part=prevention&part=<script>")
    assert "■ 届出と連絡" in draft and "■ この後の予防" in draft and draft.count("■") == 2
    _, draft = shown(client, case, "?template=advice&chosen=advice")  # nothing ticked
    assert "■" not in draft and case.number in draft
    assert not Message.objects.filter(case=case, kind="reply").exists()


def test_ticks_of_another_template_are_not_taken_over(consult, handler, sign_in):
    case = consult("ファイルが開けません", incident="ransomware")
    _, draft = shown(sign_in(handler), case, "?template=advice&chosen=analysis&part=duties")
    assert "■ 最初の1時間" in draft
    page, _ = shown(sign_in(handler), case, "?template=received")
    assert 'name="part"' not in page


@pytest.mark.parametrize("incident", ["unknown", "ddos", "fraud", "information", ""])
def test_an_english_asker_gets_english_of_the_own_kind(consult, handler, sign_in, incident):
    case = consult("Something is wrong", incident=incident, language="en")
    _, draft = shown(sign_in(handler), case, "?template=advice")
    assert "The first hour\n1. " in draft and "Duties to report (Japan)\n- " in draft and "unverified" in draft
    assert not any("\u3040" <= sign <= "\u30ff" or "\u4e00" <= sign <= "\u9fff" for sign in draft)
    assert "ransom" not in draft.split("Duties")[0].lower() or incident == "ddos"


def test_only_who_answers_is_offered_the_draft(consult, member, sign_in):
    case = consult("Something is wrong")
    page = sign_in(member("reader")).get(url("case", case) + "?template=advice")
    assert page.status_code == 404 or 'value="advice"' not in page.content.decode()


@pytest.mark.parametrize(("incident", "likeliest"), [
    ("unauthorised_access", "intrusions/unprivileged-account-compromise"),
    ("lost_device", "information-content-security/data-loss"), ("supply_chain", "intrusions/system-compromise"),
    ("ransomware", "information-content-security/unauthorised-information-modification"), ("unknown", "")])
def test_the_class_that_goes_with_the_kind_is_offered_first(db, consult, incident, likeliest):
    from hikeshi_desk.cases import choices, rules

    case = consult("Something is wrong", incident=incident)
    offered = choices.classes(case)
    assert [one.value for one in offered if one.is_chosen] == ([likeliest] if likeliest else [])
    assert sorted(one.value for one in offered) == sorted(rules.rsit())
    if likeliest:
        assert offered[0].value == likeliest
    case.rsit = "test/test"  # what somebody judged stays
    assert [one.value for one in choices.classes(case) if one.is_chosen] == ["test/test"]


def test_every_kind_of_the_forms_has_its_words_classes_and_advice():
    from typing import get_args

    from hikeshi.cli import submit
    from hikeshi_desk.accounts.texts import load_texts
    from hikeshi_desk.api.schemas import Incident
    from hikeshi_desk.cases import choices, rules
    from hikeshi_desk.consult.forms import INCIDENTS

    assert set(INCIDENTS) == set(submit.KINDS) == set(get_args(Incident)) == set(choices.INCIDENTS) - {"system_down"}
    vague = {"information", "other", "unknown"}
    for incident in INCIDENTS:
        assert f"consult.incident.{incident}" in load_texts() and f"cases.incident.{incident}" in load_texts()
        assert bool(rules.likely_classes(incident)) == (incident not in vague), incident


def test_pages_of_the_desk_explain_their_terms(consult, handler, sign_in):
    page, _ = shown(sign_in(handler), consult("ファイルが開けません", incident="ransomware"))
    listed = page.split('<details class="page-words')[1]
    assert "<dt>TLP</dt>" in listed
