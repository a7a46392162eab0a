"""Whole ways through the desk in a real browser: from an anonymous cry for help to a closed case."""

from __future__ import annotations

import re

import pytest

from hikeshi_desk.accounts.texts import text
from serving import wait_for_analysis


def test_a_reply_written_too_long_ago_is_there_after_the_code_again(consultee, asked, desk):
    page = consultee("ja", script=False).page
    page.goto("/code/")
    page.fill("#code", asked["ja", True].code)
    page.click("main form button")
    page.fill("#what", "長い返信を書いていました")
    page.context.clear_cookies(name="session")
    page.locator("form#reply .actions button").click()
    page.wait_for_url("**/code/")
    assert text("consult.code.written", language="ja") in page.locator("main").inner_text()
    page.fill("#code", asked["ja", True].code)
    page.click("main form button")
    page.wait_for_url("**/thread/")
    assert page.input_value("#what") == "長い返信を書いていました"


def test_the_guided_way_keeps_every_word_through_back_language_and_mistakes(consultee):
    one = consultee("ja", script=False)
    page = one.page
    page.goto("/consult/")
    page.fill("#what", "取引先の製品に弱点を見つけました")
    page.locator("main button[value=other]").click()
    assert page.url.endswith("/guided/what/")
    assert page.input_value("#what") == "取引先の製品に弱点を見つけました"
    one.send()
    assert page.locator("#errors a[href='#incident']").count() == 1
    assert page.evaluate("document.activeElement.id") == "errors"
    page.check("[name=incident][value=vulnerability]")
    one.send()
    page.check("[name=request][value=vulnerability]")
    one.send()
    assert page.url.endswith("/guided/more/")
    page.fill("#product", "経理システム 3.2")
    page.locator(".site-header button[lang=en]").click()
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.input_value("#product") == "経理システム 3.2"
    page.check("[name=publication][value=after_fix]")
    one.send()
    page.go_back()
    assert page.url.endswith("/guided/more/")
    assert page.is_checked("[name=publication][value=after_fix]")
    page.go_forward()
    page.check("[name=asker_kind][value=researcher]")
    page.fill("#contact", "finder@example.jp")
    one.send()
    one.send()
    assert page.url.endswith("/guided/send/")
    given = page.locator("dl.given").inner_text()
    for word in ("取引先の製品に弱点を見つけました", "経理システム 3.2", "After it is mended", "finder@example.jp"):
        assert word in given
    page.locator("button[value=to-more]").first.click()
    page.fill("#product", "経理システム 3.3")
    for _ in range(3):
        one.send()
    assert "3.3" in page.locator("dl.given").inner_text()
    one.send()
    page.wait_for_url("**/receipt/")
    page.goto("/consult/guided/send/")
    assert page.url.endswith("/guided/what/")
    assert page.input_value("#what") == ""


def test_the_form_can_be_sent_with_the_keyboard_alone(consultee):
    page = consultee("ja", width=1280).page
    page.goto("/consult/")
    seen = []

    def tab_to(wanted: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focus = page.evaluate("""() => { const e = document.activeElement; const s = getComputedStyle(e);
                return {id: e.id || e.name || e.tagName, ring: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2,
                        height: e.getBoundingClientRect().height}; }""")
            seen.append(focus)
            if focus["id"] == wanted:
                return
        raise AssertionError(f"{wanted} can't be reached: {seen}")

    tab_to("what")
    page.keyboard.type("メールが読めません")
    tab_to("incident")
    page.keyboard.press("End")
    tab_to("contact")
    tab_to("anonymous")
    page.keyboard.press("Space")
    tab_to("files")
    assert all(focus["ring"] for focus in seen), [focus for focus in seen if not focus["ring"]]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/receipt/")
    assert page.locator(".receipt-code").inner_text().count("-") == 6


def test_enter_in_a_line_sends_and_does_not_change_the_language(consultee):
    page = consultee("ja").page
    page.goto("/consult/")
    page.fill("#what", "あ")
    page.select_option("#incident", "unknown")
    page.fill("#contact", "a@example.jp")
    page.press("#contact", "Enter")
    page.wait_for_url("**/receipt/")
    assert page.locator("html").get_attribute("lang") == "ja"


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_first_steps_fit_on_one_screen_of_a_phone(consultee, language):
    page = consultee(language, script=False).page
    page.goto("/consult/?kind=ransomware")
    page.fill("#what", "x")
    page.check("#anonymous")
    page.locator("main form[enctype] .actions button").first.click()
    page.wait_for_url("**/receipt/")
    box = page.locator("section.first").bounding_box()
    assert box["height"] <= 844
    steps = page.locator("section.first .steps li").all_inner_texts()
    assert 3 <= len(steps) <= 6
    term = page.locator("section.first button.term").first
    meaning = page.locator(f"#{term.get_attribute('popovertarget')}")
    assert not meaning.is_visible()
    term.focus()
    page.keyboard.press("Enter")
    assert meaning.is_visible()
    page.keyboard.press("Escape")
    assert not meaning.is_visible()
    page.emulate_media(media="print")
    for kept in (".receipt-code", "section.first .steps", ".print-only"):
        assert page.locator(kept).is_visible(), kept
    for hidden in (".site-header", "main .actions", ".emergency", "#copy"):
        assert not page.locator(hidden).first.is_visible(), hidden


@pytest.mark.parametrize("path", ["/", "/consult/", "/consult/guided/what/", "/code/", "/privacy/", "/words/", "/no/such/"])
def test_nothing_is_cut_off_at_320_pixels_or_at_double_size(consultee, path):
    for width in (320, 640):
        page = consultee("ja", width=width).page
        page.goto(path)
        if width == 640:  # 1280 at 200 %
            page.evaluate("document.documentElement.style.fontSize = '200%'")
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], (path, width, wide)
        small = page.evaluate("""() => [...document.querySelectorAll('main a.button, main button:not(.term), main input, main select')]
            .filter(e => { const b = e.getBoundingClientRect(); return b.width > 2 && b.height < 43.5 &&
                !e.closest('label') && !e.closest('.visually-hidden') && e.type !== 'hidden'; })
            .map(e => e.outerHTML.slice(0, 80))""")
        assert small == [], (path, small)


@pytest.mark.parametrize(("language", "script"), [("ja", True), ("en", False)])
def test_from_an_anonymous_consultation_to_a_closed_case(consultee, office, asked, evidence, language, script):
    mine = asked[language, script]
    say = lambda key, **values: text(key, language=language, **values)  # noqa: E731

    # The handler sees it on top, judges it, and finds what the evidence says.
    office.goto("/desk/")
    top = office.locator("table.queue tbody tr").filter(has_text=mine.number)
    assert top.count() == 1
    assert {one.number for one in asked.values()} & set(re.findall(
        r"\d{4}-\d{6}", office.locator("table.queue tbody tr").first.inner_text()))
    top.locator("th a").click()
    case = office.url
    office.locator("a.button", has_text=text("cases.action.triage", language="ja")).first.click()
    office.check("[name=verdict][value=true]")
    office.fill("#reason", "脅迫文と暗号化されたファイルがある")
    office.locator("[name=rule]").nth(1).check()
    office.locator("main form button").first.click()
    office.wait_for_url(case)
    wait_for_analysis(office, case)
    panel = office.locator("#analysis").inner_text()
    assert "Medusa" in panel
    if script:
        assert office.locator("#analysis .picture img").count() == 1
        assert "FS01" in panel

    # The findings go into the reply, in the asker's language, and a person adds a word.
    office.locator("#analysis .actions a.button").first.click()
    draft = office.locator("#reply-body").input_value()
    assert "Medusa" in draft
    assert (re.search("[ぁ-ん]", draft) is not None) == (language == "ja")
    office.fill("#reply-body", draft + "\n\n" + {"ja": "追加のログを送ってください。", "en": "Please send more logs."}[language])
    for part in office.locator("form[action$='/reply/'] [name=parts]").all():
        part.check()
    office.locator("form[action$='/reply/'] button").first.click()
    office.wait_for_url(re.compile(re.escape(case)))

    # The consultee comes back with the code, however it was copied, reads, and adds a file.
    one = consultee(language, script=script)
    page = one.page
    page.goto("/code/")
    page.fill("#code", " " + mine.code.lower().replace("-", " ").replace("0", "o"))
    page.click("main form button")
    page.wait_for_url("**/thread/")
    assert say("consult.thread.new") in page.locator("li.entry.reply").inner_text()
    assert "Medusa" in page.locator("li.entry.reply .as-written").inner_text()
    page.fill("#what", {"ja": "ログです", "en": "Here it is"}[language])
    page.set_input_files("#files", evidence["more"])
    one.send()
    page.locator(".messages", has_text=say("consult.thread.received")).wait_for()
    assert "more.log" in page.locator("li.entry.asker").last.inner_text()
    assert page.locator("dl.facts", has_text=say("consult.thread.due")).count() == 1

    # Closing asks for what is missing, then ends the case; the consultee sees it.
    office.goto(f"{case}end/")
    office.locator("form[action$='/close/'] button").first.click()
    assert not is_closed(page), "closed although an answer is owed"
    office.goto(f"{case}end/")
    office.fill("#close-reason", "電話で回答済み")
    office.locator("form[action$='/close/'] button").first.click()
    office.wait_for_load_state()
    assert is_closed(page)
    assert say("consult.thread.reply_over") in page.locator("main").inner_text()
    assert page.locator(".fresh-sign").count() == 0, "an answer that was read is not new"
    page.locator("form[action='/leave/'] button").click()
    page.goto("/thread/")
    assert page.url.endswith("/code/")


def is_closed(page) -> bool:
    page.goto("/thread/")
    words = page.locator("dl.facts").inner_text()
    return any(text("consult.state.closed", language=language) in words for language in ("ja", "en"))
