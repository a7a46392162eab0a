"""One real desk, one Chromium and one answered case for all browser tests of a run."""

from __future__ import annotations

import base64
import os
import shutil
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from serving import Served, one_row, served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
PASSWORD = "a long sentence for tests"
EMAIL = "lead@example.jp"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser these tests say so instead of failing; with several workers they stay in one process."""
    missing = ""
    if not CHROMIUM:
        missing = "no Chromium here (Debian: apt-get install chromium)"
    else:
        try:
            import playwright.sync_api  # noqa: F401
        except ImportError:
            missing = "playwright is not installed"
    for item in items:
        if Path(item.fspath).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("browser"))
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


@dataclass
class Handler:
    """The desk's first person, with the secret of the authenticator app and the codes it has used."""

    secret: bytes = b""
    used: set[int] = field(default_factory=set)

    def code(self) -> str:
        """A code that was not used yet: those of the half minute before and after count too."""
        from hikeshi_desk.accounts.totp import code_at

        until = time.monotonic() + 300
        while time.monotonic() < until:
            now = int(time.time()) // 30
            step = next((one for one in (now - 1, now, now + 1) if one > max(self.used, default=0)), None)
            if step is not None:
                self.used.add(step)
                return code_at(self.secret, step)
            time.sleep(1)
        raise AssertionError("no unused code")


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "data").mkdir()
    (folder / "data" / "desk.toml").write_text(
        '[emergency]\nphone = "03-0000-0000"\nmail = "urgent@example.jp"\n', encoding="utf-8")
    with served(folder, HIKESHI_SECOND_FACTOR="required") as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root Chromium runs only without its sandbox; it sees nothing but our own desk.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def handler() -> Handler:
    return Handler()


@pytest.fixture(scope="session")
def shots() -> Path | None:
    """Where screenshots go; none are taken unless HIKESHI_SHOTS names a folder."""
    wanted = os.environ.get("HIKESHI_SHOTS", "")
    if not wanted:
        return None
    Path(wanted).mkdir(parents=True, exist_ok=True)
    return Path(wanted)


@pytest.fixture(scope="session")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the victim has: the note, and a part of a worked incident's logs and files in a zip."""
    from hikeshi.demo.catalogue import write_scenario

    folder = tmp_path_factory.mktemp("incident")
    write_scenario("vpn-ransomware", folder / "evidence")
    note = next((folder / "evidence").rglob("*READ_ME*"))
    wanted = ("FS01/", "DC02/Security", "JUMP01/Security", "RDS01/Security", "RDS01/Microsoft-Windows-Terminal",
              "firewall/fortigate-20261008", "firewall/fortigate-20261009", "notes.txt")
    logs = folder / "logs.zip"
    with zipfile.ZipFile(logs, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / "evidence").rglob("*")):
            name = path.relative_to(folder / "evidence").as_posix()
            if path.is_file() and name.startswith(wanted):
                archive.write(path, name)
    more = folder / "more.log"
    more.write_text("2026-10-09 08:12 one more line\n", encoding="utf-8")
    return {"note": note, "logs": logs, "more": more}


@pytest.fixture(scope="session")
def office(desk: Served, chromium, handler: Handler):
    with opened_office(chromium, desk, handler) as page:
        yield page


@pytest.fixture(scope="session")
def open_office(chromium):
    """The office of another desk than the usual one."""
    return partial(opened_office, chromium)


@contextmanager
def opened_office(chromium, desk: Served, handler: Handler | None = None):
    """The desk's first lead in their own browser: made by the set-up link, signed in with password and app."""
    handler = handler or Handler()
    context = chromium.new_context(base_url=desk.url, viewport={"width": 1280, "height": 900}, locale="ja-JP",
                                   reduced_motion="reduce")
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(desk.setup_link)
    fields = {"name": "責任者", "desk": "市の相談窓口", "email": EMAIL, "password": PASSWORD, "again": PASSWORD}
    for name, value in fields.items():
        if page.locator(f"[name={name}]").count():
            page.fill(f"[name={name}]", value)
    page.click("main form button")
    sign_in(page)
    page.wait_for_url("**/second-factor/")
    page.click("main form button")
    shown = page.locator("main code").inner_text().replace(" ", "")
    handler.secret = base64.b32decode(shown + "=" * (-len(shown) % 8))
    page.fill("[name=code]", handler.code())
    page.click("main form button")
    page.locator("main li code").first.wait_for()
    page.click(".site-header form[action*=sign-out] button")
    sign_in(page)
    page.wait_for_url("**/second-step/")
    page.fill("[name=code]", handler.code())
    page.click("main form button")
    page.wait_for_url("**/desk/")
    yield page
    context.close()


def sign_in(page) -> None:
    page.goto("/desk/account/sign-in/")
    page.fill("[name=email]", EMAIL)
    page.fill("[name=password]", PASSWORD)
    page.click("main form:has([name=password]) button")


class Consultee:
    """Somebody at their own browser, in a language, with or without JavaScript."""

    def __init__(self, chromium, desk: Served, language: str, *, script: bool, width: int = 390) -> None:
        self.context = chromium.new_context(base_url=desk.url, viewport={"width": width, "height": 844},
                                            java_script_enabled=script, reduced_motion="reduce",
                                            locale="en-GB" if language == "en" else "ja-JP")
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.page.goto("/")
        assert self.page.locator("html").get_attribute("lang") == language

    def send(self) -> None:
        """The button of the form that is open, not one of the language."""
        self.page.locator("main form[enctype] .actions button").first.click()

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def consultee(chromium, desk: Served):
    made: list[Consultee] = []

    def make(language: str = "ja", *, script: bool = True, width: int = 390) -> Consultee:
        made.append(Consultee(chromium, desk, language, script=script, width=width))
        return made[-1]

    yield make
    for one in made:
        one.close()


@dataclass(frozen=True)
class Asked:
    code: str
    number: str
    case: str


@pytest.fixture(scope="session")
def asked(chromium, desk: Served, evidence: dict[str, Path]) -> dict[tuple[str, bool], Asked]:
    """Anonymous ransomware consultations, sent first so that they are analysed while other tests run.

    Japanese with script brings the logs too; the others bring the note.
    """
    found = {}
    for language, script in (("ja", True), ("en", False)):
        one = Consultee(chromium, desk, language, script=script)
        page = one.page
        page.click(".emergency .button")
        assert page.locator("#incident").input_value() == "ransomware"
        page.fill("#what", {"ja": "朝からファイルサーバが開けません", "en": "The file server has been unreadable since morning"}[
            language])
        page.check("#anonymous")
        page.set_input_files("#files", [evidence["note"], *([evidence["logs"]] if script else [])])
        one.send()
        page.wait_for_url("**/receipt/")
        code = page.locator("#copy").input_value()
        page.locator("form[action='/code/'] button").click()
        page.wait_for_url("**/thread/")
        number = page.locator("dl.facts dd").first.inner_text()
        row = one_row(desk, "SELECT id FROM cases_case WHERE number = ?", number)
        assert row
        found[language, script] = Asked(code, number, str(uuid.UUID(str(row[0]))))
        one.close()
    return found
