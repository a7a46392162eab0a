"""Blue Coat / Symantec ProxySG and Edge SWG: a policy file in Content Policy Language.

Source: Symantec, "Content Policy Language Reference": define url condition, url.address, deny.
"""

from __future__ import annotations

from hikeshi.model.text import Text
from hikeshi.respond.devices.base import NO_MAIL, Device, File, Job, header, lines, without
from hikeshi.respond.targets import of_type, topmost, url_parts


def render(job: Job) -> Device:
    nets, names, urls = (
        of_type(job.targets, "ipv4", "ipv6", "cidr"),
        topmost(of_type(job.targets, "domain")),
        of_type(job.targets, "url"),
    )
    name = f"Hikeshi_{job.id}"
    load = "Configuration > Policy > Policy Files > install as Local File (merge with what is there)"
    undo = "install undo.cpl, or remove this section from the Local File"
    head = header(job, "Blue Coat CPL", load, undo, mark=";", entries=len(nets + names + urls))
    body: list[str] = []
    if names or urls:
        # url.domain covers what is below the name; url= matches host exactly and path as a prefix.
        body += (
            [f"define url.domain condition {name}_domains", *(f"    {n}" for n in names), "end", ""] if names else []
        )
        body += [f"define url condition {name}_urls", *(f"    {_entry(u)}" for u in urls), "end", ""] if urls else []
    if nets:
        body += [f"define subnet {name}_addresses", *(f"    {n}" for n in nets), "end", ""]
    body += ["<Proxy>"]
    body += [f"    condition={name}_domains exception(content_filter_denied)"] if names else []
    body += [f"    condition={name}_urls exception(content_filter_denied)"] if urls else []
    body += [f"    url.address={name}_addresses exception(content_filter_denied)"] if nets else []
    return Device(
        "bluecoat",
        "Blue Coat / Symantec ProxySG",
        ("proxy",),
        (
            File("hikeshi.cpl", lines(head, body)),
            File(
                "undo.cpl",
                lines(header(job, "Blue Coat CPL, undo", load, "install hikeshi.cpl again", mark=";", entries=0)),
            ),
        ),
        (
            Text(
                "ローカルポリシーファイルに追記してインストールします(既存の内容を消さないこと)",
                "Install as Local policy file; merge it with what is there",
            ),
            Text("policy の警告・エラーがないことを確かめます", "Check that the install shows no warning"),
        ),
        (Text("undo.cpl をインストールするか、追記した部分を消します", "Install undo.cpl, or remove this section"),),
        Text("利用者には拒否の画面が出ます", "Users see the denied page"),
        without(job.targets, ("ipv4", "ipv6", "cidr", "domain", "url"), NO_MAIL),
    )


def _entry(url: str) -> str:
    scheme, host, port, path = url_parts(url)
    shown = f"[{host}]" if ":" in host else host
    # ";" would begin a comment.
    rest = path.replace(";", "%3B")
    return f"{scheme + '://' if scheme else ''}{shown}{':' + port if port else ''}{rest or '/'}"
