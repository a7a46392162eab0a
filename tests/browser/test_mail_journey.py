"""The whole way by mail: a consultation, its acknowledgement, the desk's answer and the end, through real servers.

Everybody's mailbox is a Dovecot; what anybody sends goes through one SMTP server that delivers into it.
"""

from __future__ import annotations

import base64
import email
import re
import smtplib
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import policy
from email.header import Header
from email.message import EmailMessage, MIMEPart
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from dovecot import dovecot, free_port, signed_in
from hikeshi_desk.accounts.texts import text
from serving import Served, one_row, served, wait_for_analysis

DESK = "desk@example.org"
SUBJECT = "社内のファイルが開けません"
FILE_NAME = "サーバの記録①.zip"
CODE = re.compile(r"\b[0-9A-Z]{4}(?:-[0-9A-Z]{4}){6}\b")


class Carrier:
    """Takes every mail and lays it into the mailbox of its recipient."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            box = signed_in(self.port, address.partition("@")[0].partition("+")[0])
            box.append("INBOX", None, None, envelope.original_content)
            box.logout()
        return "250 OK"


@dataclass
class Post:
    """The outside world's mail: send as anybody, read what came for somebody."""

    imap: int
    smtp: int

    def send(self, mail: bytes, *, by: str, to: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=30) as server:
            server.sendmail(by, [to], re.sub(rb"\r?\n", b"\r\n", mail))

    def wait(self, name: str, count: int, seconds: float = 300) -> list[EmailMessage]:
        """All mails of that mailbox, once there are as many."""
        until = time.monotonic() + seconds
        while len(found := self._all(name)) < count:
            assert time.monotonic() < until, f"{len(found)} of {count} mails for {name}"
            time.sleep(0.5)
        assert len(found) == count, [mail["Subject"] for mail in found]
        return found

    def _all(self, name: str) -> list[EmailMessage]:
        box = signed_in(self.imap, name)
        try:
            parts = [part for part in box.uid("FETCH", "1:*", "(BODY.PEEK[])")[1] if isinstance(part, tuple)]
        finally:
            box.logout()
        return [email.message_from_bytes(part[1], policy=policy.default) for part in parts]


@pytest.fixture(scope="module")
def post() -> Iterator[Post]:
    with dovecot("desk", "hanako", "taro") as imap:
        smtp = free_port()
        carrier = Controller(Carrier(imap), hostname="127.0.0.1", port=smtp)
        carrier.start()
        yield Post(imap, smtp)
        carrier.stop()


@pytest.fixture(scope="module")
def mail_desk(post: Post, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("mail-desk")
    (folder / "data").mkdir()
    (folder / "data" / "desk.toml").write_text(f'[mail]\naddress = "{DESK}"\nsite = "https://desk.example.org"\n'
                                               "every_s = 1\n", encoding="utf-8")
    with served(folder, HIKESHI_SECOND_FACTOR="required", HIKESHI_SMTP=f"smtp+plain://127.0.0.1:{post.smtp}",
                HIKESHI_IMAP=f"imap+plain://desk:secret@127.0.0.1:{post.imap}/INBOX") as running:
        yield running


@pytest.fixture(scope="module")
def letters(post: Post, mail_desk: Served, evidence: dict[str, Path]) -> datetime:
    """A question in English, then ransomware in Japanese, as an older mail program writes it. When it was sent."""
    plain = EmailMessage()
    plain["From"], plain["To"], plain["Subject"] = "taro@example.org", DESK, "Question about our proxy"
    plain["Message-ID"] = "<question@example.org>"
    plain.set_content("Our proxy has been slow since Monday. Could you tell us where to begin?\n")
    post.send(plain.as_bytes(), by="taro@example.org", to=DESK)

    urgent = MIMEMultipart()
    urgent["From"], urgent["To"] = "hanako@example.jp", DESK
    urgent["Subject"] = Header(SUBJECT, "iso-2022-jp")
    urgent["Message-ID"] = "<first@example.jp>"
    urgent.attach(MIMEText("今朝からファイルサーバのファイルが暗号化されて開けません。脅迫文とログを添付します。\n", "plain", "iso-2022-jp"))
    note = MIMEApplication(evidence["note"].read_bytes(), "octet-stream")
    note.add_header("Content-Disposition", "attachment", filename=evidence["note"].name)
    logs = MIMEApplication(evidence["logs"].read_bytes(), "zip")
    sjis = base64.b64encode(FILE_NAME.encode("cp932")).decode()
    logs["Content-Disposition"] = f'attachment; filename="=?Shift_JIS?B?{sjis}?="'
    urgent.attach(note)
    urgent.attach(logs)
    assert b"ISO-2022-JP" in urgent.as_bytes().upper()
    at = datetime.now(UTC)
    post.send(urgent.as_bytes(), by="hanako@example.jp", to=DESK)
    return at


@pytest.fixture(scope="module")
def mail_office(open_office, mail_desk: Served, letters):
    with open_office(mail_desk) as page:
        yield page


def words(mail: EmailMessage) -> str:
    assert mail.get_content_type() == "text/plain"
    return mail.get_content().replace("\r\n", "\n")


def headers(mail: MIMEPart) -> str:
    return "\n".join(f"{name}: {value}" for name, value in mail.items())


def messages_of(desk: Served, number: str) -> int:
    row = one_row(desk, "SELECT count(*) FROM cases_message m JOIN cases_case c ON c.id = m.case_id "
                        "WHERE c.number = ? AND m.kind = 'asker'", number)
    return int(row[0]) if row else 0


def write_reply(office, more: str) -> str:
    """What was drafted, sent with a word of a person."""
    draft = office.locator("#reply-body").input_value()
    office.fill("#reply-body", f"{draft}\n\n{more}")
    for part in office.locator("form[action$='/reply/'] [name=parts]").all():
        part.check()
    office.locator("form[action$='/reply/'] button").first.click()
    office.wait_for_load_state()
    return draft


def test_from_a_mail_to_a_closed_case(post, mail_desk, letters, mail_office, chromium, evidence):
    # The acknowledgement: in the mail's language, when an answer comes, what to do first, how to go on.
    (known,) = post.wait("hanako", 1)
    said = words(known)
    promised = re.search(r"(\d+)年(\d+)月(\d+)日（.）(\d+):(\d+)（日本時間） までにお答えします", said)
    assert promised, said
    due = datetime(*map(int, promised.groups()), tzinfo=UTC) - timedelta(hours=9)
    assert letters - timedelta(minutes=1) <= due <= letters + timedelta(days=7)
    for part in ("ネットワークから切り離します", "電源は切りません", "暗号化されたファイルや脅迫文を消す", "このメールへの返信", "https://desk.example.org/code/"):
        assert part in said
    assert "記録①" not in said and "Medusa" not in said and SUBJECT not in said + str(known["Subject"])
    assert known["In-Reply-To"] == known["References"] == "<first@example.jp>"
    assert known["Auto-Submitted"] == "auto-replied"
    code = CODE.search(said)[0]

    # The handler sees it on top, judges it, and finds what the evidence says.
    office = mail_office
    office.goto("/desk/")
    assert office.locator("table.queue tbody tr").count() == 2
    top = office.locator("table.queue tbody tr").first
    number = re.search(r"\d{4}-\d{6}", top.inner_text())[0]
    assert SUBJECT in top.inner_text()
    top.locator("th a").click()
    case = office.url
    assert FILE_NAME in office.locator("main").inner_text()
    office.locator("a.button", has_text=text("cases.action.triage", language="ja")).first.click()
    office.check("[name=verdict][value=true]")
    office.fill("#reason", "脅迫文と暗号化されたファイルがある")
    office.locator("[name=rule]").nth(1).check()
    office.locator("main form button").first.click()
    office.wait_for_url(case)
    wait_for_analysis(office, case)
    panel = office.locator("#analysis").inner_text()
    assert "Medusa" in panel and "FS01" in panel
    assert office.locator("#analysis .picture img").count() == 1
    office.locator("#analysis .actions a.button").first.click()
    draft = write_reply(office, "同じ時刻のプロキシの記録も送ってください。")
    assert "Medusa" in draft and re.search("[ぁ-ん]", draft)

    # The sender reads it as an answer to their mail. Outside the words stands nothing of the case.
    answer = post.wait("hanako", 2)[1]
    assert words(answer).startswith(draft.strip()[:40]) and "プロキシの記録" in words(answer)
    assert str(answer["Subject"]) == f"Re: {SUBJECT}"
    assert answer["In-Reply-To"] == answer["References"] == "<first@example.jp>"
    assert set(answer.keys()) == {"From", "To", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
                                  "X-Loop", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"}
    for fact in ("Medusa", "FS01", number, code):
        assert fact not in headers(answer)

    # One more file, in an answer that quotes everything under another subject, joins the same case.
    more = EmailMessage()
    more["From"], more["To"], more["Subject"] = "hanako@example.jp", str(answer["Reply-To"]), "追加の記録"
    more["Message-ID"], more["In-Reply-To"] = "<second@example.jp>", str(answer["Message-ID"])
    more["References"] = f"{answer['References']} {answer['Message-ID']}"
    more.set_content("プロキシの記録です。\n\n" + "".join(f"> {line}\n" for line in said.splitlines()))
    more.add_attachment(evidence["more"].read_bytes(), maintype="text", subtype="plain", filename="more.log")
    to = answer["Reply-To"].addresses[0].addr_spec
    post.send(more.as_bytes(), by="hanako@example.jp", to=to)
    until = time.monotonic() + 300
    while messages_of(mail_desk, number) < 2:
        assert time.monotonic() < until, "the second mail did not join its case"
        time.sleep(0.5)
    assert one_row(mail_desk, "SELECT count(*) FROM cases_case") == (2,)
    office.goto(case)
    shown = office.locator("main").inner_text()
    assert "more.log" in shown and "プロキシの記録です" in shown and code not in office.content()

    # The code goes on in a browser; the same conversation, and nobody else's.
    with closing(chromium.new_context(base_url=mail_desk.url, java_script_enabled=False, locale="ja-JP")) as browser:
        page = browser.new_page()
        page.goto("/code/")
        page.fill("#code", code)
        page.click("main form button")
        page.wait_for_url("**/thread/")
        thread = page.locator("main").inner_text()
        assert "Medusa" in thread and "プロキシの記録です" in thread and "proxy has been slow" not in thread

    # The end is told, in the same conversation, without its inner reason.
    office.goto(f"{case}end/")
    office.fill("#close-reason", "電話で回答済み")
    office.locator("form[action$='/close/'] button").first.click()
    office.wait_for_load_state()
    end = post.wait("hanako", 3)[2]
    assert text("mail.closed.body", language="ja").splitlines()[0] in words(end) and "電話" not in words(end)
    assert end["In-Reply-To"] == "<second@example.jp>"
    assert end["References"].split() == ["<first@example.jp>", known["Message-ID"], answer["Message-ID"],
                                         "<second@example.jp>"]
    assert str(end["Subject"]) == f"Re: {SUBJECT}"


def test_an_english_question_is_acknowledged_and_answered_in_english(post, mail_desk, letters, mail_office):
    known = post.wait("taro", 1)[0]
    said = words(known)
    assert re.search(r"You will have an answer by \d{4}-\d\d-\d\d \d\d:\d\d JST", said), said
    assert "Do this first:" in said and "reply to this mail" in said and CODE.search(said)
    assert "Take backups off the network" not in said and not re.search("[ぁ-ん]", said + str(known["Subject"]))
    mail_office.goto("/desk/")
    mail_office.locator("table.queue tbody tr", has_text="Question about our proxy").locator("th a").click()
    write_reply(mail_office, "Look at the proxy's log of Monday first.")
    answer = post.wait("taro", 2)[1]
    assert "Look at the proxy's log of Monday first." in words(answer)
    assert str(answer["Subject"]) == "Re: Question about our proxy" and answer["In-Reply-To"] == "<question@example.org>"
