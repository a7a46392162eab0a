"""A desk page explains its terms: in place in advice and hints, the others in a list; what people wrote stays alone."""

from __future__ import annotations

import pytest

from hikeshi_desk.consult.glossary import Met


def test_advice_is_explained_in_place_once_and_the_rest_is_listed():
    met = Met()
    page = met.page('<h2>DDoS</h2><ol class="steps"><li>VPNとVPNを切る</li></ol><p class="hint">VPN</p><p>TLP</p>')
    assert page.count('popovertarget="term-vpn"') == 1 and page.startswith("<h2>DDoS</h2>")
    listed = page.split("<details")[1]
    assert "DoS" in listed and "TLP" in listed and "VPN" not in listed
    assert [one for one, _, _ in met.items()] == ["vpn"]


@pytest.mark.parametrize("html", [
    '<div class="as-written">VPN<br>VPN</div>', "<p>x<a href=\"/VPN/\">VPN</a></p>", '<textarea name="body">VPN</textarea>',
    "<select><option>VPN</option></select>", '<td class="mono">VPN</td>', '<ol class="steps"><li><button>VPN</button></li></ol>',
    '<input value="VPN">', "", "<p>", "</p></div>", "<p class='hint'>ordinary"])
def test_what_people_wrote_fields_and_links_are_left_alone(html):
    assert Met().page(html) == html


def test_markup_is_kept_as_it_was_rendered():
    page = Met().page('<p class="hint">&lt;script&gt;VPN&lt;/script&gt; &amp;amp;</p>')
    assert "<script" not in page and "&lt;script&gt;<button" in page and page.count("&amp;amp;") == 1
    assert Met().page('<div class="as-written">a</div><p class="hint">VPN</p>').count("<button") == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("language", "words"), [("ja", "実機では未確認です"), ("en", "Not verified on real machines")])
def test_the_articles_show_their_commands_as_they_are_typed(client, language, words):
    client.cookies["django_language"] = language
    page = client.get("/checks/", headers={"accept-language": language}).content.decode()
    assert words in page and "netstat -ano" in page and "@{LogName=&#x27;Security&#x27;; Id=1102}" in page
    assert page.count("<article") >= 6 and "<script" not in page.split("<main")[1].split("</main>")[0]
