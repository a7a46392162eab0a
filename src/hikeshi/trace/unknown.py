"""What the evidence can't tell, each with the log that would and the machine it lies on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from hikeshi.model.case import EntryCandidate, Unknown
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text
from hikeshi.trace.identity import host_name
from hikeshi.trace.infection import Hold, Infection
from hikeshi.trace.network import is_address
from hikeshi.trace.parts import Parts
from hikeshi.trace.rows import HOUR, MINUTE, text_column, when

_SHOWN = 40
_PROCESS_LOGS = "Security 4688 / Sysmon"


def unknowns(
    infection: Infection, candidates: Iterable[EntryCandidate], parts: Parts, spans: pa.Table
) -> list[Unknown]:
    """The most useful logs first: what would show the way in, then the machines, then what left."""
    out: list[Unknown] = []

    def ask(
        log: str, host: str | None, ja: str, en: str, records: tuple[RecordRef, ...] = (), sure: Confidence = "high"
    ) -> None:
        out.append(Unknown(confidence=sure, records=records[:5], log=log, host=host, reason=Text(ja, en)))

    if not infection.hosts and not parts.log_gaps:
        return out
    logs = _logs(spans)
    _way_in(infection, list(candidates), logs, ask)
    for host, hold in sorted(infection.hosts.items(), key=lambda h: (h[1].first, h[0])):
        _machine(infection, host, hold, logs, ask)
    for gap in parts.log_gaps:
        where = "転送先のログ、バックアップ、シャドウコピー", "forwarded logs, backups and shadow copies"
        if gap.kind == "cleared":
            ask(
                gap.log,
                gap.host,
                f"消去されました。{where[0]}を探してください",
                f"it was cleared: look for {where[1]}",
                gap.records,
            )
        else:
            ask(gap.log, gap.host, f"{gap.first}から途切れています。{where[0]}を探してください",
                f"it falls silent from {gap.first}: look for {where[1]}", gap.records)  # fmt: skip
    for edge in sorted(infection.edges.values(), key=lambda e: (e.time, e.destination)):
        if edge.method == "unknown":
            ask(
                _PROCESS_LOGS,
                edge.destination,
                f"{edge.source}からどの方法で操作されたかは、この機器のプロセスとサービスの記録でわかります",
                f"by which method it was controlled from {edge.source}: its records of processes and services"
                " would tell",
                infection.rows.refs(edge.rows),
            )
    if not parts.exfiltration and not logs["flow"]:
        ask(
            "proxy / firewall",
            None,
            "外部への送信は見えません。送信バイト数のあるプロキシかファイアウォールのログが必要です",
            "data sent out can't be seen: logs of the proxy or firewall with the bytes sent would tell",
        )
    if infection.accounts and not len(infection.rows.of("ticket")):
        ask(
            "Security (domain controllers)",
            None,
            "盗まれたアカウントがほかのどこで使われたかは、ドメインコントローラーの4768、4769、4776でわかります",
            "where else the stolen accounts were used: 4768, 4769 and 4776 of the domain controllers would tell",
        )
    return out[:_SHOWN]


def _logs(spans: pa.Table) -> dict[str, dict[str, int]]:
    """Kinds of logs there are: host → first time in its Security log, and whether there are others at all."""
    out: dict[str, dict[str, int]] = {"security": {}, "flow": {}, "vpn": {}, "mail": {}, "web": {}}
    if not spans.num_rows:
        return out
    host, log = text_column(spans.column("host")), text_column(spans.column("log"))
    first = spans.column("first").to_numpy()
    seen = np.unique(np.stack([host.codes, log.codes]), axis=1, return_inverse=True)
    inverse = seen[1].reshape(-1)
    earliest = np.full(seen[0].shape[1], 2**62, dtype=np.int64)
    np.minimum.at(earliest, inverse, first)
    for (h, n), time in zip(seen[0].T.tolist(), earliest.tolist(), strict=True):
        name, what = (host_name(host.values[h]) if h >= 0 else ""), (log.values[n].lower() if n >= 0 else "")
        for kind, words in _KINDS.items():
            if any(w in what for w in words):
                out[kind][name] = min(out[kind].get(name, 2**62), time)
    return out


_KINDS = {
    "security": ("security",),
    "flow": ("squid", "fortinet", "paloalto", "sonicwall", "proxy", "firewall", "zscaler", "cisco", "umbrella"),
    "vpn": ("fortinet", "vpn", "cisco.asa", "pulse", "ivanti", "sonicwall", "netscaler", "paloalto"),
    "mail": ("exchange", "postfix", "mail", "m365", "o365"),
    "web": ("iis", "apache", "nginx", "access", "w3c"),
}


def _way_in(
    infection: Infection, candidates: list[EntryCandidate], logs: dict[str, dict[str, int]], ask: object
) -> None:
    assert callable(ask)
    best = candidates[0] if candidates else None
    if best is None:
        for kind, log, ja, en in (
            ("vpn", "VPN", "VPN装置のログ", "the log of the VPN device"),
            ("flow", "firewall", "ファイアウォールのログ", "the log of the firewall"),
            ("mail", "mail", "メールのログ", "the log of the mail system"),
            ("web", "web server", "公開サーバーのログ", "the logs of public servers"),
        ):
            if not logs[kind]:
                ask(
                    log,
                    None,
                    f"侵入経路がわかりません。{ja}があればわかる可能性があります",
                    f"the way in is unknown: {en} could tell",
                )
        return
    if best.kind == "unknown":
        ask(
            "VPN / DHCP / NAC",
            None,
            f"{best.source}がどの機器かわかりません。この時刻({best.time})にそのアドレスを貸した装置のログが必要です",
            f"which machine had {best.source} is not known: the log of what lent it at {best.time} would tell",
            best.records,
        )
    elif best.kind == "mail_attachment" and not logs["mail"]:
        ask("mail", None, "メールの差出人と、ほかに受け取った人は、メールのログでわかります",
            "who sent the mail and who else got it: the mail system's log would tell", best.records)  # fmt: skip
    elif best.kind == "remote_tool" and best.source is None:
        ask(
            "remote tool",
            best.host,
            "接続元は、遠隔操作ソフト自身のログ(ad_svc.trace、Connections_incoming.txtなど)でわかります",
            "who connected: the tool's own log (ad_svc.trace, Connections_incoming.txt and the like) would tell",
            best.records,
        )
    elif best.kind == "supplier":
        ask("supplier", best.host, "更新の配布元の記録は、製品の会社に求めてください",
            "which update it was: ask the product's maker for its records", best.records)  # fmt: skip
    elif best.confidence == "low":
        ask("VPN / Security", best.host, "侵入経路は弱い手がかりだけです。認証のログで確かめてください",
            "the way in rests on weak clues: check it against logs of authentication", best.records)  # fmt: skip


def _machine(infection: Infection, host: str, hold: Hold, logs: dict[str, dict[str, int]], ask: object) -> None:
    assert callable(ask)
    rows = infection.rows
    cited = rows.refs(hold.rows)
    if is_address(host):
        ask("Security", host, "この機器のログはありません", "there is no log of this machine", cited)
        return
    if host not in infection.who.logged:
        ask(
            "Security", host, "この機器のイベントログはありません。そこで何が行われたかはわかりません",
            "its event logs are not there: what was done on it is not known", cited,
        )  # fmt: skip
        return
    begins = logs["security"].get(host)
    if begins is not None and begins > hold.first + HOUR:
        ask(
            "Security", host, f"ログは{_minute(begins)}からしかなく、最初の操作({_minute(hold.first)})より後です",
            f"the log begins only at {_minute(begins)}, after the first trace of {_minute(hold.first)}", cited,
        )  # fmt: skip
    programs = infection.around.near("process", host, hold.first - MINUTE, 2**62)
    if not programs and not infection.marks_of.get(host):
        ask(
            _PROCESS_LOGS, host, "プログラムの起動の記録がなく、何が実行されたかはわかりません",
            "no record of started programs: what was run on it is not known", cited,
        )  # fmt: skip


def _minute(time: int) -> str:
    return f"{when(time)[:16].replace('T', ' ')} UTC"
