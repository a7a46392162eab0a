"""Every page of the desk, found from the resolver: no accessibility violation, in both languages, light and dark.

With HIKESHI_SHOTS=folder each page is also photographed at 390 and 1280 pixels, to be looked at.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve

from serving import one_row, wait_for_analysis

Error = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").Error
# Not pages: pictures, files, what a program asks for; or shown once, to one person.
_NO_PAGE = re.compile(r"\.(svg|jsonl|pdf|png|json|csv|zip|timesketch)$|/logo/|/download/")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
         "resultTypes": ["violations"]}
DARK = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}


def routes(resolver: URLResolver | None = None, space: str = "", before: str = "") -> Iterator[tuple[str, URLPattern, str]]:
    """Name, pattern and path of every route that answers GET."""
    for entry in (resolver or get_resolver()).url_patterns:
        where = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, f"{space}{entry.namespace}:" if entry.namespace else space, where)
        elif "GET" in getattr(entry.callback, "methods", ()):
            yield f"{space}{entry.name}", entry, "/" + where


def name_of(path: str) -> str:
    try:
        return resolve(path).view_name
    except Resolver404:
        return ""


class Walk:
    """Opens every page that can be reached from the given ones, each route once."""

    def __init__(self, page, language: str, shots) -> None:
        self.page, self.language, self.shots = page, language, shots
        self.seen: dict[str, str] = {}
        self.wrong: list[str] = []

    def go(self, first: list[str]) -> None:
        waiting = list(first)
        while waiting:
            path = waiting.pop(0)
            name = name_of(urlsplit(path).path)
            if name in self.seen or _NO_PAGE.search(urlsplit(path).path) or "sign-out" in path:
                continue
            try:
                answer = self.page.goto(path)
            except Error as error:
                if "Download" not in str(error):
                    raise
                self.seen[name] = path
                continue
            landed = name_of(urlsplit(self.page.url).path)
            kind = (answer.header_value("content-type") or "") if answer else ""
            self.seen[name] = path
            # A report is shown as a file in a sandbox: no script runs there, axe neither. It has tests of its own.
            if not kind.startswith("text/html") or "sandbox" in (answer.header_value("content-security-policy") or ""):
                continue
            if answer.status >= 500:
                self.wrong.append(f"{name} {answer.status}")
            if landed != name and landed in self.seen:
                continue
            self.seen[landed] = path
            self.check(landed or name or "not_found")
            waiting += self.links()

    def links(self) -> list[str]:
        found = self.page.evaluate("""() => [...document.querySelectorAll('a[href]')].filter(e => !e.hasAttribute('download'))
            .map(e => new URL(e.href)).filter(u => u.origin === location.origin).map(u => u.pathname + u.search)""")
        return list(dict.fromkeys(found))

    def check(self, name: str) -> None:
        page, tag = self.page, f"{self.language} {name}"
        assert page.locator("html").get_attribute("lang") in (self.language, "ja"), tag
        self.wrong += [f"{tag}: {one} h1" for one in [page.locator("h1").count()] if one != 1]
        self.wrong += [f"{tag} light: {one}" for one in violations(page, RULES, inject=True)]
        page.emulate_media(color_scheme="dark")
        self.wrong += [f"{tag} dark: {one}" for one in violations(page, DARK)]
        page.emulate_media(color_scheme="light")
        if self.shots:
            for width in (390, 1280):
                page.set_viewport_size({"width": width, "height": 844})
                page.screenshot(path=self.shots / f"{name.replace(':', '_')}-{self.language}-{width}.png", full_page=True)


def violations(page, options: dict[str, object], *, inject: bool = False) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    if inject:
        page.evaluate(Axe().axe_script)
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [f"{one['id']}: {node['html'][:160]} {node['any'][0]['message'][:160] if node['any'] else ''}"
            for one in found for node in one["nodes"]]


@pytest.mark.parametrize("language", ["ja", "en"])
def test_no_page_of_the_desk_has_an_accessibility_violation(office, consultee, asked, desk, shots, language):
    office.context.add_cookies([{"name": "django_language", "value": language, "url": desk.url}])
    paths = [path for _, entry, path in routes() if not entry.pattern.converters]
    mine = asked["ja", True]
    one = consultee(language, width=1280)
    outside = Walk(one.page, language, shots)
    send_one(one.page)
    outside.go(["/receipt/"])

    newest = one_row(desk, "SELECT id FROM cases_case ORDER BY serial DESC LIMIT 1")
    inside = Walk(office, language, shots)
    office.goto(f"/desk/case/{mine.case}/")
    wait_for_analysis(office, f"/desk/case/{mine.case}/")  # its pages too
    write_lesson(office, mine.case)
    ask_for_measures(office, mine.case)
    for kind in ("blocks", "accounts", "mail"):  # one route, pages that differ
        office.goto(f"/desk/case/{mine.case}/response/{kind}/")
        inside.check(f"respond:{kind}")
    inside.go([f"/desk/case/{mine.case}/?template=analysis", f"/desk/case/{uuid.UUID(str(newest[0]))}/opinion/",
               *[path for path in paths if path.startswith("/desk/")]])
    inside.go([f"/desk/case/{mine.case}/relay/?to=asker"])
    take_a_call(office)
    inside.check("cases:phone-receipt")
    link = invite(office, f"{language}@example.jp")
    inside.check("accounts:link-made")
    office.context.add_cookies([{"name": "django_language", "value": "ja", "url": desk.url}])
    one.page.goto(link)
    outside.check("accounts:link")
    one.page.goto("/code/")
    one.page.fill("#code", mine.code)
    one.page.click("main form button")
    outside.go(["/thread/", *[path for path in paths if not path.startswith("/desk/")], "/no/such/page/"])
    for path, fields in (("/consult/", {}), ("/code/", {"code": "x"}), ("/consult/guided/what/", {})):
        one.page.goto(path)
        for name, value in fields.items():
            one.page.fill(f"#{name}", value)
        one.page.locator("main form .actions button").first.click()
        outside.check("wrong" + path.replace("/", "_"))
    assert inside.wrong + outside.wrong == []
    met = {*inside.seen, *outside.seen, "cases:phone-receipt", "accounts:link"}
    missed = {name for name, entry, path in routes() if name not in met and not _NO_PAGE.search(path)}
    assert not [name for name in missed if name.split(":")[0] in ("analysis", "respond") and name not in FILES | NEEDS_A_PACK], missed
    # What needs a passkey (tests/desk/accounts/test_passkeys.py), and files.
    assert {name for name in missed if name.split(":")[0] in ("consult", "cases", "accounts")} <= KNOWN_MISSED, missed


FILES = {"analysis:timeline-file", "analysis:key-file"}
NEEDS_A_PACK = {"analysis:pack-waiting"}
KNOWN_MISSED = {"accounts:passkey", "accounts:passkey-remove", "consult:file"}


def take_a_call(page) -> None:
    """A phone note, up to the page that is read to the caller."""
    page.goto("/desk/phone/")
    page.fill("#caller", "受付の人")
    page.fill("#number", "03-1111-2222")
    page.fill("#what", "画面に赤い文が出て動きません")
    page.fill("#called_at", "2026-01-05T09:30")
    page.select_option("#incident", "malware")
    page.locator("main form:has(#what) button").last.click()
    page.wait_for_url(re.compile(r"/desk/phone/.{36}/"))


def ask_for_measures(page, case: str) -> None:
    """Mail measures that the asker sees on their own page, one of them marked."""
    page.goto(f"/desk/case/{case}/response/mail/")
    begin = page.locator("main form[action*='do/begin'] button")
    if begin.count():
        begin.click()
    page.locator("[name=ids]").first.check()
    page.locator("[formaction*='do/ask']").click()
    page.locator("[name=ids]").nth(1).check()
    page.select_option("#state", "verified")
    page.fill("#evidence", "規則の一覧を見た")
    page.locator("main form[action*='do/mark'] .actions button:not([formaction])").click()


def write_lesson(page, case: str) -> None:
    """A draft with a name in it, so that there is something to look at before its release."""
    page.goto(f"/desk/case/{case}/analysis/lesson/")
    page.fill("#title", "更新の遅れ")
    page.fill("#body", "VPN装置の更新が遅れていた。FS01 まで広がった。連絡は a@example.jp へ。")
    page.locator("main form.panel button").click()
    page.wait_for_url(re.compile(r"/desk/knowledge/lesson/.{36}/"))


def invite(page, address: str) -> str:
    """A new colleague; gives the link they get, which is shown once."""
    page.goto("/desk/account/people/")
    form = page.locator("main form:has([name=email])")
    form.locator("[name=name]").fill("新しい人")
    form.locator("[name=email]").fill(address)
    form.locator("button").last.click()
    return page.locator("main code").first.inner_text().strip()


def send_one(page) -> None:
    """A consultation, so that there is a receipt to look at, by way of every step of the guided form."""
    page.goto("/consult/guided/what/")
    page.fill("#what", "検体を見つけました")
    page.check("[name=incident][value=malware]")
    following(page)
    page.check("[name=request][value=second_opinion]")
    following(page)
    page.fill("#hypothesis", "メールから入られた\n情報は出ていない")
    following(page)
    page.check("#anonymous")
    following(page)
    following(page)
    following(page)
    page.wait_for_url("**/receipt/")


def following(page) -> None:
    page.locator("main form[enctype] .actions button").first.click()
