"""Squid: three acl files and one file for squid.conf to include.

Source: Squid documentation, "acl", "http_access".
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from hikeshi.model.text import Text
from hikeshi.respond.devices.base import NO_MAIL, Device, File, Job, header, lines, without
from hikeshi.respond.targets import of_type, topmost, url_parts

FOLDER = "/etc/squid/hikeshi"


def render(job: Job) -> Device:
    return render_at(job, FOLDER)


def render_at(job: Job, folder: str) -> Device:
    """`folder` is where the acl files will lie on the proxy."""
    nets, names, urls = (
        of_type(job.targets, "ipv4", "ipv6", "cidr"),
        topmost(of_type(job.targets, "domain")),
        of_type(job.targets, "url"),
    )
    load = (
        f"copy this folder to {folder}; add 'include {folder}/hikeshi.conf' above the first http_access; "
        "squid -k reconfigure"
    )
    undo = "remove the include line; squid -k reconfigure"
    acls, rules, files = [], [], []
    for label, kind, rows in (
        ("domains", "dstdomain", [f".{n}" for n in names]),
        ("addresses", "dst", nets),
        ("urls", "url_regex -i", [_pattern(u) for u in urls]),
    ):
        if rows:
            acls.append(f'acl hikeshi_{job.id}_{label} {kind} "{folder}/{label}.txt"')
            rules.append(f"http_access deny hikeshi_{job.id}_{label}")
            files.append(
                File(f"{label}.txt", lines(header(job, f"Squid acl {kind}", load, undo, entries=len(rows)), rows))
            )
    head = header(job, "Squid", load, undo, entries=len(job.targets))
    files.insert(0, File("hikeshi.conf", lines(head, acls, rules)))
    files.append(
        File(
            "undo.sh",
            lines(
                ["#!/bin/sh"],
                header(job, "Squid, undo", "sh undo.sh, as root", "add the include line again", entries=0),
                [
                    "set -e",
                    f"sed -i.before-hikeshi '\\|^include {folder}/hikeshi.conf|d' /etc/squid/squid.conf",
                    "squid -k reconfigure",
                ],
            ),
        )
    )
    return Device(
        "squid",
        "Squid",
        ("proxy",),
        tuple(files),
        (
            Text(f"このフォルダを {folder} に置きます", f"Copy this folder to {folder}"),
            Text(
                f"squid.conf の最初の http_access より上に include {folder}/hikeshi.conf を書きます",
                f"Write include {folder}/hikeshi.conf above the first http_access in squid.conf",
            ),
            Text(
                "squid -k parse で確かめ、squid -k reconfigure で読み込みます",
                "Check with squid -k parse, load with squid -k reconfigure",
            ),
        ),
        (
            Text(
                "include の行を消し、squid -k reconfigure します(undo.sh)",
                "Remove the include line, squid -k reconfigure (undo.sh)",
            ),
        ),
        Text("利用者には「アクセス拒否」(403)が出ます", "Users see an access-denied page (403)"),
        without(job.targets, ("ipv4", "ipv6", "cidr", "domain", "url"), NO_MAIL),
    )


def _pattern(url: str) -> str:
    """The URL and everything below it; without decrypted TLS an https URL is never seen by the proxy."""
    scheme, host, port, path = url_parts(url)
    shown = re.escape(f"[{host}]") if ":" in host else _literal(host)
    start = f"^{scheme}://" if scheme else "^[a-z]+://"
    standard = {"http": "80", "https": "443"}.get(scheme, "")
    place = f":{port}" if port else f"(:{standard})?" if standard else "(:[0-9]+)?"
    if path in ("", "/"):
        return f"{start}{shown}{place}(/|$)"
    return f"{start}{shown}{place}{_literal(path)}" + ("" if path.endswith("/") else "([/?&#]|$)")


def _literal(text: str) -> str:
    """POSIX extended: letters, digits and these as they are, other signs in brackets of their own; what means
    something even there, or to the file, becomes "any sign". Squid takes percent-encoding away before it compares."""
    out = []
    for byte in unquote_to_bytes(text):
        sign = chr(byte)
        if sign.isascii() and (sign.isalnum() or sign in "/_-~:@!&,;="):
            out.append(sign)
        else:
            out.append(f"[{sign}]" if sign in "$()*+.?[]{}|%'\"<>`" else ".")
    return "".join(out)
