"""The story as sentences in time order, each with its records."""

from __future__ import annotations

from hikeshi.model.case import TimelineEntry
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text
from hikeshi.trace.entry import TECHNIQUES
from hikeshi.trace.infection import Infection
from hikeshi.trace.parts import Parts
from hikeshi.trace.rows import HOUR, MINUTE, moment, when
from hikeshi.trace.signals import METHODS, SIGNALS
from hikeshi.trace.way import Way

_ENTRY = {
    "vpn_credential": Text("{source}から{account}のVPN接続が成功しました。", "{account} opened the VPN from {source}."),
    "exposed_rdp": Text(
        "{source}から{host}へ{account}が直接ログオンしました。", "{account} signed on to {host} straight from {source}."
    ),
    "brute_force": Text(
        "{source}からの総当たりのあと、{account}が{host}にログオンしました。",
        "After many guesses from {source}, {account} signed on to {host}.",
    ),
    "web_shell": Text(
        "{source}が{host}に置かれたWebシェルを使い始めました。", "{source} began to use a web shell on {host}."
    ),
    "mail_attachment": Text(
        "{host}で{account}が開いた文書からコマンドが起動しました。",
        "On {host} a document opened by {account} started a command.",
    ),
    "remote_tool": Text("{host}で遠隔操作ソフトが動き始めました。", "A remote access tool began to run on {host}."),
    "remote_maintenance": Text(
        "{source}から{host}へ、保守用の{account}で直接ログオンしました。",
        "{account}, an account for maintenance, signed on to {host} straight from {source}.",
    ),
    "supplier": Text(
        "{host}で製品の更新プログラムが隠されたコマンドを起動しました。",
        "On {host} a product's own updater started hidden commands.",
    ),
    "vulnerability": Text(
        "{source}から境界の機器の管理画面に入られました。", "A device at the border was administered from {source}."
    ),
    "unknown": Text(
        "どの機器かわからない{source}から{host}へ、{account}が入りました。",
        "{account} came to {host} from {source}, an address of no known machine.",
    ),
}
_PERSISTENCE = {
    "service": Text("サービス", "service"),
    "scheduled_task": Text("タスク", "scheduled task"),
    "run_key": Text("自動起動", "autostart entry"),
    "account": Text("アカウント", "account"),
    "web_shell": Text("Webシェル", "web shell"),
    "remote_tool": Text("遠隔操作ソフト", "remote access tool"),
}
_PERSISTENCE_TECHNIQUES = {
    "service": "T1543.003",
    "scheduled_task": "T1053.005",
    "run_key": "T1547.001",
    "account": "T1136",
    "web_shell": "T1505.003",
    "remote_tool": "T1219",
}
_TOLD_ELSEWHERE = frozenset(
    ("log_clear", "odd_service", "psexec", "odd_task", "odd_run_key", "account_added", "archive", "encrypted")
)


def tell(infection: Infection, ways: list[Way], parts: Parts) -> list[TimelineEntry]:
    """Entry, spread, work on the machines, persistence, staging, uploads, C2, clearing: by time."""
    out: list[TimelineEntry] = []

    def say(
        time: str | None,
        ja: str,
        en: str,
        records: tuple[RecordRef, ...],
        sure: Confidence,
        host: str | None = None,
        tactic: str | None = None,
        technique: str | None = None,
    ) -> None:
        if time is not None and records:
            out.append(
                TimelineEntry(
                    time=time,
                    ja=ja,
                    en=en,
                    confidence=sure,
                    records=records,
                    host=host,
                    tactic=tactic,
                    technique=technique,
                )
            )

    rows = infection.rows
    for way in ways:
        if not way.leads:
            continue
        words = {
            "source": way.source or "不明な接続元",
            "account": way.account or "不明なアカウント",
            "host": way.host or "不明",
        }
        plain = {
            "source": way.source or "an unknown source",
            "account": way.account or "an unknown account",
            "host": way.host or "an unknown machine",
        }
        text = _ENTRY[way.kind]
        records = tuple(dict.fromkeys((*way.refs, *rows.refs(way.rows))))[:20]
        say(
            when(way.time),
            text.ja.format(**words),
            text.en.format(**plain),
            records,
            "high" if way.score >= 6 else "medium",
            way.host,
            "initial-access",
            TECHNIQUES[way.kind],
        )
    for step in parts.spread:
        name = METHODS[step.method][1]
        account = step.account or "?"
        say(
            step.time,
            f"{step.source}から{step.destination}へ、{account}が{name.ja}で移動しました。",
            f"{account} moved from {step.source} to {step.destination} by {name.en}.",
            step.records,
            step.confidence,
            step.destination,
            "lateral-movement",
            step.technique,
        )
    _work(infection, say)
    for left in parts.persistence:
        kind = _PERSISTENCE[left.kind]
        say(
            left.time,
            f"{left.host}に{kind.ja}「{left.name}」が残されました。",
            f"The {kind.en} {left.name} was left on {left.host}.",
            left.records,
            left.confidence,
            left.host,
            "persistence",
            _PERSISTENCE_TECHNIQUES[left.kind],
        )
    for pile in parts.staging:
        say(
            pile.time,
            f"{pile.host}の{pile.path}にファイルがまとめられました。",
            f"Files were packed into {pile.path} on {pile.host}.",
            pile.records,
            pile.confidence,
            pile.host,
            "collection",
            "T1560.001",
        )
    for sent in parts.exfiltration:
        size = f"{sent.bytes:,}" if sent.bytes else "不明な量の"
        amount = f"{sent.bytes:,}" if sent.bytes else "an unknown number of"
        say(
            sent.first,
            f"{sent.source}から{sent.destination}へ{size}バイトが送られました。",
            f"{sent.source} sent {amount} bytes to {sent.destination}.",
            sent.records,
            sent.confidence,
            sent.source,
            "exfiltration",
            "T1048",
        )
    for address in parts.c2:
        clients = "、".join(address.clients) or "不明なPC"
        say(
            address.first,
            f"{clients}が{address.value}との通信を始めました。",
            f"{', '.join(address.clients) or 'An unknown machine'} began to talk to {address.value}.",
            address.records,
            address.confidence,
            address.clients[0] if address.clients else None,
            "command-and-control",
            "T1071",
        )
    for gap in parts.log_gaps:
        more = (f"空き領域などから{gap.recovered:,}件を復元しました。",
                f" Records recovered from slack and damage: {gap.recovered:,}.") if gap.recovered else ("", "")
        if gap.kind == "cleared":
            say(
                gap.last,
                f"{gap.host}の{gap.log}ログが消去されました。{more[0]}",
                f"The {gap.log} log of {gap.host} was cleared.{more[1]}",
                gap.records,
                gap.confidence,
                gap.host,
                "defense-evasion",
                "T1070.001",
            )
        else:
            say(
                gap.first,
                f"{gap.host}の{gap.log}ログが途切れました。{more[0]}",
                f"The {gap.log} log of {gap.host} fell silent.{more[1]}",
                gap.records,
                gap.confidence,
            )
    return sorted(out, key=lambda t: (moment(t.time), t.en))


def _work(infection: Infection, say: object) -> None:
    """What was done on each held machine: one sentence a signal, an hour and a machine."""
    assert callable(say)
    for host, held in sorted(infection.hosts.items()):
        told: dict[tuple[str, int], list[int]] = {}
        for mark in infection.marks_of.get(host, ()):
            if mark.time < held.first - MINUTE or mark.name in _TOLD_ELSEWHERE or mark.weight < 2:
                continue
            told.setdefault((mark.name, mark.time // HOUR), []).append(mark.row)
        for (name, _), cited in told.items():
            text = SIGNALS[name].says
            first = min(cited)
            say(
                when(int(infection.rows.time[first])),
                f"{host}: {text.ja}。",
                f"{host}: {text.en}.",
                infection.rows.refs(cited),
                "high" if SIGNALS[name].weight >= 3 else "medium",
                host,
                SIGNALS[name].tactic,
                SIGNALS[name].technique,
            )
