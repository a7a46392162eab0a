"""A mail from a stranger, opened: who, what, when, the text, the files; or why it was refused.

Runs only in a limited child (mail_reader.py). The standard library's `email` package never sees
the bytes: it needs minutes for a few hundred kilobytes made for it. What is here reads each
byte a bounded number of times and refuses, before any decoding, what exceeds MailLimits.
Forwarded mails (message/rfc822) stay whole, as files: nothing is opened twice. With a Keyring a mail that is
encrypted as a whole is read from its plaintext, and signatures are judged (mail_pgp.py).
Source: RFC 5322, 2045, 2046, 2231, 3156, 3464, 3676, 3834.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

from hikeshi.errors import LimitExceeded
from hikeshi.evidence import mail_pgp
from hikeshi.evidence.mail_html import html_to_text
from hikeshi.evidence.mail_pgp import FoundKey, Keyring, Signature
from hikeshi.evidence.mail_text import CODECS, decode, decode_header, from_base64, one_line
from hikeshi.evidence.member_names import shown
from hikeshi.evidence.tnef import MAGIC as TNEF_MAGIC
from hikeshi.evidence.tnef import read_tnef
from hikeshi.model.text import Text


@dataclass(frozen=True, slots=True)
class MailLimits:
    """What a mail may have; beyond it the mail is refused (LimitExceeded), its bytes are kept."""

    mail_bytes: int = 100 * 2**20
    header_bytes: int = 64 * 1024  # of the mail and of any part
    all_header_bytes: int = 256 * 1024
    parts: int = 200
    depth: int = 20
    parameters: int = 50
    boundary_lines: int = 20_000  # lines that only look like a boundary
    text_chars: int = 1_000_000


@dataclass(frozen=True, slots=True)
class MailFile:
    """An attached file: `file` is its name in the given folder, `name` is what the sender called it."""

    name: str
    content_type: str
    file: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Bounce:
    """One recipient of a delivery report: `action` is failed, delayed, delivered, relayed or expanded."""

    recipient: str
    action: str
    status: str
    diagnostic: str


@dataclass(frozen=True, slots=True)
class Pgp:
    """What OpenPGP did in a mail. `signature.state` may also be "unchecked" (no keyring given) or "partial" (only a
    part of what is shown was signed: nothing is claimed). `problem` says why it stayed encrypted."""

    is_decrypted: bool = False
    signature: Signature = field(default_factory=Signature)
    problem: Text | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as data. Addresses and ids are as written, one line each; `date` is UTC or None.

    `automatic` is "" for a person's mail, else "auto_reply", "bounce" or "report"; `why` says by
    which sign. `bulk` and `suspected` (out-of-office subject) mails are read like others, but
    nothing may answer them by itself. `loop_marks` are the desks that it has passed already.
    `digest` leaves out the trace headers: it is equal for one mail that came by two ways.
    `about` are the message ids that a bounce returns; `keys` are public keys that came along.
    """

    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    subject: str
    sender: str
    sender_name: str
    reply_to: str
    to: tuple[str, ...]
    date: datetime | None
    text: str
    files: tuple[MailFile, ...]
    automatic: str
    why: str
    bulk: bool
    suspected: bool
    null_return_path: bool
    loop_marks: tuple[str, ...]
    hops: int
    encrypted: str  # "", "pgp", "smime"
    digest: str
    problems: tuple[Text, ...]
    pgp: Pgp = field(default_factory=Pgp)
    keys: tuple[FoundKey, ...] = ()
    bounces: tuple[Bounce, ...] = ()
    about: tuple[str, ...] = ()


class _Part(NamedTuple):
    headers: list[tuple[str, bytes]]
    start: int
    end: int


@dataclass(slots=True)
class _Reading:
    data: bytes
    limits: MailLimits
    folder: Path | dict[str, bytes]
    parts: int = 0
    header_bytes: int = 0
    files: list[MailFile] = field(default_factory=list)
    problems: dict[Text, None] = field(default_factory=dict)
    encrypted: str = ""
    types: set[str] = field(default_factory=set)
    ring: Keyring | None = None
    is_decrypted: bool = False
    signatures: list[Signature] = field(default_factory=list)
    pgp_problem: Text | None = None
    keys: dict[str, FoundKey] = field(default_factory=dict)
    bounces: list[Bounce] = field(default_factory=list)
    inner_subject: str = ""


_HEADER = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_ADDRESS_TOKEN = re.compile(
    rb'"((?:[^"\\]|\\.){0,2000})"|<([^<>]{0,1000})>|\\.|[()]|[,;:]|[^"<\\(),;:]+|.', re.S)
_ID = re.compile(r"<[^<>\s]{1,990}>")
_JUST_ID = re.compile(r"[^<>\s]{3,990}@[^<>\s]{1,990}")


def decode_mail(data: bytes, limits: MailLimits, folder: Path | dict[str, bytes], ring: Keyring | None = None) -> Mail:
    """What the mail says; its files are written to `folder` as 0001, 0002, …, or put into it where it is a dict.

    With `ring` it must be a folder. Without `ring` encrypted parts stay as they are and signatures are "unchecked".

    Raises LimitExceeded. Everything else that is odd is read as well as possible and named in
    `problems`. Header values come without control signs, so none can become two headers.
    """
    if len(data) > limits.mail_bytes:
        raise _refuse(f"the mail has {len(data):,} bytes, more than {limits.mail_bytes:,}")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    reading = _Reading(data, limits, folder, ring=ring)
    part = _open(reading, 0, len(data))
    charset = _parameters(_first(part.headers, "content-type"), limits)[1].get("charset", "")
    text = "\n\n".join(piece for piece in _whole(reading, part) if piece.strip())
    if len(text) > limits.text_chars:
        text = text[:limits.text_chars]
        _note(reading, "本文が長いため、途中までを表示します。", "The text is long; only its beginning is shown.")
    headers = {name: decode_header(value, charset, 20_000) for name, value in reversed(part.headers)}
    sender = _addresses(_first(part.headers, "from"), charset)
    automatic, why = _automatic(headers, reading.types)
    subject = (reading.inner_subject or headers.get("subject", ""))[:998]
    return Mail(
        message_id=(_ids(headers.get("message-id", "")) or ("",))[0], in_reply_to=_ids(headers.get("in-reply-to", "")),
        references=_ids(headers.get("references", ""))[-1000:], subject=subject,
        sender=sender[0][1] if sender else "", sender_name=sender[0][0] if sender else "",
        reply_to=next((address for _, address in _addresses(_first(part.headers, "reply-to"), charset)), ""),
        to=tuple(address for name in ("to", "cc", "delivered-to", "x-original-to", "envelope-to")
                 for _, value in [(n, v) for n, v in part.headers if n == name]
                 for _, address in _addresses(value, charset))[:500],
        date=_date(headers.get("date", ""), reading), text=text, files=tuple(reading.files),
        automatic=automatic, why=why, bulk=_is_bulk(headers), suspected=_seems_automatic(subject),
        null_return_path=headers.get("return-path", "?").strip() == "<>",
        loop_marks=tuple(decode_header(v, "", 200) for n, v in part.headers if n == "x-loop")[:50],
        hops=sum(name == "received" for name, _ in part.headers), encrypted=reading.encrypted,
        digest=_digest([headers.get(name, "") for name in ("message-id", "from", "date")] + [subject, text],
                       reading.files), problems=tuple(reading.problems),
        pgp=Pgp(reading.is_decrypted, _one_signature(reading), reading.pgp_problem),
        keys=tuple(reading.keys.values())[:5], bounces=tuple(reading.bounces),
        about=_returned_ids(data) if automatic == "bounce" else ())


def _digest(words: list[str], files: list[MailFile]) -> str:
    told = "\0".join([*words, *(f"{file.name}\0{file.sha256}" for file in files)])
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()


def _refuse(what: str) -> LimitExceeded:
    return LimitExceeded(what, hint="the mail is kept unread; look at it by hand")


def _note(reading: _Reading, ja: str, en: str) -> None:
    if len(reading.problems) < 50:
        reading.problems[Text(ja, en)] = None


def _returned_ids(data: bytes) -> tuple[str, ...]:
    """Message ids anywhere in a delivery report, the returned mail's among them."""
    found = re.findall(rb"^[ \t>]{0,8}Message-ID:\s{0,8}(<[^<>\s]{1,250}>)", data, re.I | re.M)[:50]
    return tuple(dict.fromkeys(one.decode("ascii", "replace") for one in found))


# -------------------------------------------------------------------------------- OpenPGP


def _disk(reading: _Reading) -> Path:
    assert isinstance(reading.folder, Path)
    return reading.folder


def _whole(reading: _Reading, part: _Part) -> list[str]:
    """The texts of a mail; decrypted, or with its signature judged, where that is about all of it."""
    kind, parameters = _parameters(_first(part.headers, "content-type"), reading.limits)
    protocol = parameters.get("protocol", "").lower()
    boundary = parameters.get("boundary", "").rstrip().encode("latin-1", "replace")
    if boundary and kind == "multipart/encrypted" and protocol == "application/pgp-encrypted":
        reading.encrypted = "pgp"
        if reading.ring is not None and (words := _decrypted(reading, part, boundary, reading.ring)) is not None:
            return words
    if boundary and kind == "multipart/signed" and protocol == "application/pgp-signature":
        return _signed(reading, part, boundary)
    return _read(reading, part, 0, "text/plain")


def _decrypted(reading: _Reading, part: _Part, boundary: bytes, ring: Keyring) -> list[str] | None:
    """The plaintext read as a mail of its own, or None: then `pgp_problem` says why."""
    before = reading.parts
    parts = [_open(reading, *place) for place in _children(reading, part, boundary)]
    if len(parts) != 2:
        reading.pgp_problem = mail_pgp.DAMAGED
        reading.parts = before
        return None
    try:
        plain, signature = mail_pgp.decrypt(_body(reading, parts[1]), ring, _disk(reading))
    except mail_pgp.Unreadable as error:
        reading.pgp_problem = error.told
        reading.parts = before
        return None
    outer, reading.data, reading.is_decrypted = reading.data, plain, True
    try:
        root = _open(reading, 0, len(plain))
        kind, parameters = _parameters(_first(root.headers, "content-type"), reading.limits)
        reading.inner_subject = decode_header(_first(root.headers, "subject"), "", 998)
        inner = parameters.get("boundary", "").rstrip().encode("latin-1", "replace")
        if inner and kind == "multipart/signed":
            return _signed(reading, root, inner)
        reading.signatures.append(signature)
        return _read(reading, root, 0, "text/plain")
    finally:
        reading.data = outer


def _signed(reading: _Reading, part: _Part, boundary: bytes) -> list[str]:
    """The first part; the second is its signature, and what follows it nobody signed."""
    places = _children(reading, part, boundary)
    parts = [_open(reading, *place) for place in places]
    if len(parts) < 2:
        return [text for one in parts for text in _read(reading, one, 1, "text/plain")]
    if len(parts) > 2:
        reading.signatures.append(Signature("partial"))
    elif reading.ring is None:
        reading.signatures.append(Signature("unchecked"))
    else:
        start, end = places[0]
        exact = re.sub(rb"\r?\n", b"\r\n", reading.data[start:end])
        reading.signatures.append(mail_pgp.verify_detached(exact, _body(reading, parts[1]), reading.ring))
    return [text for one in [parts[0], *parts[2:]] for text in _read(reading, one, 1, "text/plain")]


def _inline(reading: _Reading, body: bytes) -> bytes:
    """A text with an armoured block in it: what the block says, where it could be opened or its signature holds."""
    block = mail_pgp.BLOCK.search(body)
    if block is None:
        return body
    outside = (body[:block.start()] + body[block.end():]).strip()
    if block[1] == b"SIGNED MESSAGE":
        if outside:
            reading.signatures.append(Signature("partial"))
            return body
        if reading.ring is None:
            reading.signatures.append(Signature("unchecked"))
            return body
        words, signature = mail_pgp.verify_clear(block[0] + b"\n", reading.ring)
        reading.signatures.append(signature)
        return body if words is None else words
    reading.encrypted = reading.encrypted or "pgp"
    if reading.ring is None:
        return body
    try:
        plain, signature = mail_pgp.decrypt(block[0] + b"\n", reading.ring, _disk(reading))
    except mail_pgp.Unreadable as error:
        reading.pgp_problem = error.told
        return body
    reading.is_decrypted = True
    reading.signatures.append(Signature("partial") if outside and signature.state else signature)
    if outside:
        _note(reading, "本文の一部は暗号化されていません。", "A part of the text was not encrypted.")
        return plain + b"\n\n----\n" + outside
    return plain


def _one_signature(reading: _Reading) -> Signature:
    """The mail's: one judgement over all, or none is claimed."""
    found = [one for one in reading.signatures if one.state]
    if not found:
        return Signature()
    # Beside a signed text of its own there may be others, and files, that nobody signed.
    return found[0] if len(reading.signatures) == 1 else Signature("partial", found[0].key)


# ------------------------------------------------------------------------------ structure


def _open(reading: _Reading, start: int, end: int) -> _Part:
    """Headers of the part in data[start:end], and where its body lies."""
    data, limits = reading.data, reading.limits
    reading.parts += 1
    if reading.parts > limits.parts:
        raise _refuse(f"the mail has more than {limits.parts} parts")
    headers: list[tuple[str, bytes]] = []
    at = start
    while at < end:
        stop = data.find(b"\n", at, min(end, start + limits.header_bytes + 1))
        stop = (end if end - start <= limits.header_bytes else -2) if stop < 0 else stop
        if stop < 0:
            raise _refuse(f"the headers have more than {limits.header_bytes:,} bytes")
        line = data[at:stop].rstrip(b"\r")
        after = min(stop + 1, end)
        if not line.strip():
            at = after
            break
        if line[:1] in b" \t" and headers:
            headers[-1] = (headers[-1][0], headers[-1][1] + b"\n" + line)
        elif found := _HEADER.match(line):
            headers.append((found[1].decode("ascii").lower(), line[found.end():].strip()))
        elif not (at == start and line.startswith((b"From ", b">From "))):
            _note(reading, "ヘッダーが壊れています。そこから後を本文として読みました。",
                  "The headers are damaged; what follows the damage was read as text.")
            break
        if len(headers) > 1000:
            raise _refuse("the mail has more than 1,000 header lines")
        at = after
    reading.header_bytes += at - start
    if reading.header_bytes > limits.all_header_bytes:
        raise _refuse(f"the headers of all parts have more than {limits.all_header_bytes:,} bytes")
    return _Part(headers, at, end)


def _children(reading: _Reading, part: _Part, boundary: bytes) -> list[tuple[int, int]]:
    """Places of the parts between the boundary lines."""
    data, mark = reading.data, b"--" + boundary
    out: list[tuple[int, int]] = []
    begun, looked, at = -1, 0, part.start
    while (at := data.find(mark, at, part.end)) >= 0:
        looked += 1
        if looked > reading.limits.boundary_lines:
            raise _refuse("too many lines look like a boundary")
        stop = data.find(b"\n", at, part.end)
        stop = part.end if stop < 0 else stop
        rest = data[at + len(mark):min(stop, at + len(mark) + 200)].strip()
        if (at == part.start or data[at - 1] == 0x0A) and rest in (b"", b"--"):
            if begun >= 0:
                line_end = at - 2 if data[at - 2:at] == b"\r\n" else at - 1
                out.append((begun, max(begun, line_end)))
            begun = -1
            if rest == b"--":
                return out
            begun = min(stop + 1, part.end)
            if reading.parts + len(out) > reading.limits.parts:
                raise _refuse(f"the mail has more than {reading.limits.parts} parts")
        at = max(at + 1, stop)
    if begun >= 0:
        out.append((begun, part.end))
        _note(reading, "メールが途中で切れているようです。", "The mail seems to be cut off.")
    return out


def _read(reading: _Reading, part: _Part, depth: int, default: str) -> list[str]:
    """The texts of a part; its files go to the folder."""
    kind, parameters = _parameters(_first(part.headers, "content-type"), reading.limits)
    kind = kind if re.fullmatch(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", kind) else default
    reading.types.add(kind + (f"; {parameters.get('report-type', '').lower()}" if kind == "multipart/report" else ""))
    if kind == "multipart/encrypted" or (kind == "application/pkcs7-mime" and "signed" not in parameters.get(
            "smime-type", "")):
        reading.encrypted = "pgp" if kind.startswith("multipart") else "smime"
    boundary = parameters.get("boundary", "").rstrip().encode("latin-1", "replace")
    if kind.startswith("multipart/") and boundary:
        if depth >= reading.limits.depth:
            raise _refuse(f"parts are nested more than {reading.limits.depth} deep")
        inner = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        places = _children(reading, part, boundary)
        if places:
            return _choose(reading, kind, [_open(reading, *place) for place in places], depth, inner)
        _note(reading, "区切りが見つからないため、全体を本文として読みました。",
              "No part was found inside; all of it was read as text.")
    if kind.startswith("multipart/"):
        kind = "text/plain"
    return _leaf(reading, part, kind, parameters)


def _choose(reading: _Reading, kind: str, parts: list[_Part], depth: int, inner: str) -> list[str]:
    if kind != "multipart/alternative":
        return [text for part in parts for text in _read(reading, part, depth + 1, inner)]
    plain: list[str] = []
    rich: list[str] = []
    for part in parts:
        told = _parameters(_first(part.headers, "content-type"), reading.limits)[0]
        (plain if told in ("text/plain", "") else rich).extend(_read(reading, part, depth + 1, inner))
    return plain if any(text.strip() for text in plain) else rich


def _leaf(reading: _Reading, part: _Part, kind: str, parameters: dict[str, str]) -> list[str]:
    disposition, more = _parameters(_first(part.headers, "content-disposition"), reading.limits)
    name = _file_name(more.get("filename") or parameters.get("name") or "")
    body = _body(reading, part)
    if kind == "message/delivery-status":
        _report(reading, body)
    if kind == "application/pgp-keys" or name.lower().endswith((".asc", ".pgp", ".gpg", ".key")):
        reading.keys.update({key.fingerprint: key for key in mail_pgp.find_keys(body)})
    if kind == "text/plain" and b"-----BEGIN PGP " in body and not name and disposition != "attachment":
        body = _inline(reading, body)
    if kind in ("text/plain", "text/html") and disposition != "attachment" and not name:
        return [_text(reading, body, kind, parameters)]
    if body.startswith(TNEF_MAGIC) and (kind.endswith("ms-tnef") or name.lower().endswith(".dat")):
        return _winmail(reading, body, name)
    if name or body.strip():
        _keep(reading, name or _default_name(kind, len(reading.files) + 1), kind, body)
    return []


def _report(reading: _Reading, body: bytes) -> None:
    """Groups of fields, one for each recipient; the first is about the mail as a whole (RFC 3464)."""
    for group in re.split(rb"\r?\n[ \t]*\r?\n", body[:100_000])[:51]:
        unfolded = re.sub(rb"\r?\n[ \t]+", b" ", group)
        fields = {name.strip().lower(): decode_header(value, "", 400)
                  for name, colon, value in (line.partition(b":") for line in unfolded.splitlines()[:50]) if colon}
        who = fields.get(b"original-recipient") or fields.get(b"final-recipient")
        if who and len(reading.bounces) < 50:
            reading.bounces.append(Bounce(
                who.rpartition(";")[2].strip()[:320], fields.get(b"action", "").lower()[:20],
                fields.get(b"status", "")[:20], fields.get(b"diagnostic-code", "").partition(";")[2].strip()[:300]))


def _body(reading: _Reading, part: _Part) -> bytes:
    data = reading.data[part.start:part.end]
    coding = _first(part.headers, "content-transfer-encoding").decode("latin-1").strip().lower().partition(";")[0]
    match coding.strip():
        case "base64":
            return from_base64(data)
        case "quoted-printable":
            return binascii.a2b_qp(data)
        case "x-uuencode" | "uuencode" | "x-uue" | "x-uu":
            return _uudecode(data)
        case "" | "7bit" | "8bit" | "binary":
            return data
    _note(reading, "知らない変換方式の部分があります。そのまま残しました。",
          "A part has an unknown transfer encoding and was kept as it is.")
    return data


def _uudecode(data: bytes) -> bytes:
    out: list[bytes] = []
    begun = False
    for line in data.splitlines():
        if not begun:
            begun = line.startswith(b"begin ")
        elif line.strip() == b"end":
            break
        else:
            try:
                out.append(binascii.a2b_uu(line))
            except binascii.Error:  # trailing rubbish: take as many signs as the length byte says
                count = (((line[0] - 32) & 63) * 4 + 5) // 3
                try:
                    out.append(binascii.a2b_uu(line[:count]))
                except binascii.Error:
                    continue
    return b"".join(out)


def _text(reading: _Reading, body: bytes, kind: str, parameters: dict[str, str]) -> str:
    body = body[:reading.limits.text_chars * 4]
    label = parameters.get("charset", "")
    if not label and kind == "text/html" and (found := re.search(rb"charset\s{0,9}=\s{0,9}[\"']?([\w.:-]{1,40})",
                                                                 body[:4096])):
        label = found[1].decode("ascii")
    decoded = decode(body, label)
    if not decoded.kept:
        known = CODECS.get(label.strip().lower())
        claim = shown(one_line(label))[:40]
        _note(reading, f"文字コードの表示「{claim}」は{'合わない' if known else '使えない'}ため、"
                       f"{decoded.charset} として読みました。",
              f"The charset label '{claim}' {'does not fit' if known else 'is not used here'}; "
              f"read as {decoded.charset}.")
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n")
    if kind == "text/html":
        text = html_to_text(text)
    elif parameters.get("format", "").lower() == "flowed":
        text = _unflow(text, parameters.get("delsp", "").lower() == "yes")
    return "".join(c for c in text if c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f")).strip("\n")


def _unflow(text: str, delsp: bool) -> str:
    out: list[str] = []
    joining = False
    for line in text.split("\n"):
        line = line[1:] if line.startswith(" ") else line
        soft = line.endswith(" ") and line != "-- " and not line.startswith(">")
        piece = line[:-1] if soft and delsp else line
        if joining:
            out.append(piece)
        else:
            out.extend(("\n", piece))
        joining = soft
    return "".join(out[1:])


def _winmail(reading: _Reading, body: bytes, name: str) -> list[str]:
    packed = read_tnef(body)
    for inner, content in packed.files:
        _keep(reading, _file_name(inner) or _default_name("application/octet-stream", len(reading.files) + 1),
              "application/octet-stream", content)
    if not packed.complete:
        _keep(reading, name or "winmail.dat", "application/ms-tnef", body)
        _note(reading, "winmail.dat の一部は読めません。元のファイルも残しました。",
              "A part of winmail.dat can't be read; the file itself was kept too.")
    return [packed.body] if packed.body.strip() else []


def _keep(reading: _Reading, name: str, kind: str, body: bytes) -> None:
    if len(reading.files) >= reading.limits.parts:
        raise _refuse(f"the mail has more than {reading.limits.parts} files")
    file = f"{len(reading.files) + 1:04}"
    if isinstance(reading.folder, dict):
        reading.folder[file] = body
    else:
        (reading.folder / file).write_bytes(body)
    reading.files.append(MailFile(name, kind, file, len(body), hashlib.sha256(body).hexdigest()))


def _file_name(raw: str) -> str:
    """For people and downloads: the last part of a path, one line, nothing invisible, 200 signs."""
    name = decode_header(raw.encode("latin-1", "replace")) if _is_latin(raw) else one_line(raw)
    return shown(name.replace("\\", "/").rsplit("/", 1)[-1].strip())[:200]


def _is_latin(text: str) -> bool:
    return all(c <= "\xff" for c in text)


def _default_name(kind: str, number: int) -> str:
    ending = {"message/rfc822": "eml", "text/calendar": "ics", "text/html": "html", "text/plain": "txt",
              "application/pgp-signature": "asc", "application/pkcs7-signature": "p7s",
              "application/pkcs7-mime": "p7m", "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif",
              "message/delivery-status": "txt", "text/rfc822-headers": "txt"}.get(kind, "bin")
    return f"part-{number}.{ending}"


# -------------------------------------------------------------------------------- headers


def _first(headers: list[tuple[str, bytes]], name: str) -> bytes:
    return next((value for key, value in headers if key == name), b"")


def _parameters(value: bytes, limits: MailLimits) -> tuple[str, dict[str, str]]:
    """The value before the first semicolon, in lower case, and the parameters (RFC 2231 too)."""
    pieces = _split(value, b";", limits.parameters + 1)
    if len(pieces) > limits.parameters + 1:
        raise _refuse(f"a header has more than {limits.parameters} parameters")
    main = re.sub(r"\s+", "", _bare(pieces[0]).decode("latin-1")).lower() if pieces else ""
    plain: dict[str, str] = {}
    parts: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for piece in pieces[1:]:
        key, _, raw = piece.partition(b"=")
        name = key.strip().lower().decode("latin-1")
        found = re.fullmatch(r"([^*]+)(?:\*(\d{1,3}))?(\*)?", name)
        if found and (found[2] or found[3]):
            parts.setdefault(found[1], {})[int(found[2] or 0)] = (_bare(raw), bool(found[3]))
        elif name:
            plain.setdefault(name, _bare(raw).decode("latin-1"))
    for name, numbered in parts.items():
        plain[name] = _joined(numbered)
    return main, plain


def _joined(numbered: dict[int, tuple[bytes, bool]]) -> str:
    charset, out = "", b""
    for position, (number, (raw, encoded)) in enumerate(sorted(numbered.items())):
        if encoded and position == 0 and raw.count(b"'") >= 2:
            label, _, raw = raw.split(b"'", 2)
            charset = label.decode("latin-1")
        out += _percent(raw) if encoded else raw
        if number != position:
            break
    return decode(out, charset).text


def _percent(raw: bytes) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes((int(m[1], 16),)), raw)


def _bare(raw: bytes) -> bytes:
    raw = raw.strip()
    if raw[:1] != b'"':
        return raw.split(b"\n")[0].strip() if b"\n" in raw else raw
    close = raw.rfind(b'"')
    inner = raw[1:close] if close > 0 else raw[1:]
    if b"\x1b" in inner or not inner.isascii():
        return inner  # raw Japanese: a backslash may be half of a sign
    return re.sub(rb"\\(.)", rb"\1", re.sub(rb"\r?\n[ \t]", b" ", inner))


def _split(value: bytes, mark: bytes, most: int) -> list[bytes]:
    """Cut at `mark` outside quotes; stops after `most` + 1 pieces."""
    out: list[bytes] = []
    start, quoted = 0, False
    for found in re.finditer(rb'\\.|"|' + re.escape(mark), value, re.S):
        if found[0] == b'"':
            quoted = not quoted
        elif found[0] == mark and not quoted:
            out.append(value[start:found.start()])
            start = found.end()
            if len(out) > most:
                return out
    out.append(value[start:])
    return out


def _addresses(value: bytes, charset: str) -> list[tuple[str, str]]:
    """(name, address) pairs of an address header; at most 500. Comments are skipped, groups opened."""
    out: list[tuple[str, str]] = []
    words: list[bytes] = []
    angle, depth = b"", 0

    def keep() -> None:
        nonlocal angle
        said = b"".join(words).strip()
        if angle or said:
            address = angle if angle else said
            name = decode_header(said, charset, 200) if angle else ""
            out.append((name, re.sub(r"\s", "", decode_header(address, charset, 320))))
        words.clear()
        angle = b""

    for found in _ADDRESS_TOKEN.finditer(value):
        token = found[0]
        if token == b"(":
            depth += 1
        elif token == b")":
            depth = max(0, depth - 1)
        elif depth:
            continue
        elif token in (b",", b";"):
            keep()
            if len(out) >= 500:
                break
        elif token == b":":
            words.clear()
        elif found[1] is not None:
            words.append(re.sub(rb"\\(.)", rb"\1", found[1]) if found[1].isascii() else found[1])
        elif found[2] is not None:
            angle = angle or found[2]
        else:
            words.append(token)
    keep()
    return out[:500]


def _ids(value: str) -> tuple[str, ...]:
    found = _ID.findall(value)
    if not found and (bare := _JUST_ID.search(value)):
        found = [f"<{bare[0]}>"]
    return tuple(dict.fromkeys(found))


def _date(value: str, reading: _Reading) -> datetime | None:
    if not value:
        return None
    try:
        when = parsedate_to_datetime(value[:100])
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        _note(reading, f"日付「{shown(value)[:60]}」は読めません。", f"The date '{shown(value)[:60]}' can't be read.")
        return None


# ------------------------------------------------------------------------------- automata


def _automatic(headers: dict[str, str], types: set[str]) -> tuple[str, str]:
    """Whether a machine sent it, and the sign that says so (RFC 3834, 3464, 8098)."""
    if headers.get("return-path", "?").strip() == "<>":
        return "bounce", "Return-Path: <>"
    if any(t.startswith("multipart/report; delivery-status") for t in types) or "message/delivery-status" in types:
        return "bounce", "Content-Type: multipart/report"
    if "x-failed-recipients" in headers:
        return "bounce", "X-Failed-Recipients"
    if re.match(r"(?:[^<]*<)?(?:mailer-daemon|postmaster)@", headers.get("from", ""), re.I) and re.match(
            r"(?:undeliver|returned mail|mail delivery|delivery (?:status|failure)|failure notice)",
            headers.get("subject", ""), re.I):
        return "bounce", "From: mailer-daemon"
    if any(t.startswith("multipart/report;") for t in types):
        return "report", "Content-Type: multipart/report"
    told = headers.get("auto-submitted", "no").split(";")[0].split("(")[0].strip().lower()
    if told not in ("no", ""):
        return "auto_reply", f"Auto-Submitted: {told[:40]}"
    for name in ("x-autoreply", "x-auto-reply", "x-autorespond", "x-autoresponse", "x-mail-autoreply"):
        if headers.get(name, "no").strip().lower() not in ("no", ""):
            return "auto_reply", name
    if headers.get("precedence", "").strip().lower() in ("auto_reply", "auto-reply"):
        return "auto_reply", "Precedence: auto_reply"
    return "", ""


def _is_bulk(headers: dict[str, str]) -> bool:
    return headers.get("precedence", "").strip().lower() in ("bulk", "junk", "list") or any(
        name in headers for name in ("list-id", "list-post", "list-unsubscribe", "feedback-id",
                                     "x-auto-response-suppress"))


def _seems_automatic(subject: str) -> bool:
    return re.match(r"\s*(?:\[?(?:auto(?:matic)?[ -]?(?:reply|response)|out of (?:the )?office|自動(?:返信|応答|送信))"
                    r"|(?:不在|休暇)(?:の|通知|連絡|返信|自動))", subject, re.I) is not None
