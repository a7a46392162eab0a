"""What we do not know, and which log would tell."""

from __future__ import annotations

from collections.abc import Sequence

from hikeshi.model.case import Case
from hikeshi.model.evidence import EvidenceItem
from hikeshi.model.text import Text


def unknowns(case: Case, items: Sequence[EvidenceItem], skipped_indicators: int = 0) -> tuple[Text, ...]:
    """One sentence for each open question of this case, the most important first."""
    story = case.story
    formats = {item.format for item in items if item.records}
    out: list[Text] = []
    if not story.entry_candidates:
        out.append(Text("侵入経路がわかりません。VPN装置、ファイアウォール、公開サーバ、メールのログがあればわかる可能性があります。",
                        "The way in is unknown. Logs of the VPN device, firewall, public servers or mail could tell."))
    elif story.entry_candidates[0].confidence == "low":
        out.append(Text("侵入経路の候補は弱い手がかりだけです。VPN装置と認証サーバのログで確かめてください。",
                        "The way in rests on weak clues only. Check it against the VPN device's and the "
                        "authentication server's logs."))
    if "evtx" not in formats and not any(f and f.startswith("windows") for f in formats):
        out.append(Text("Windowsのイベントログがないため、機器から機器への移動は調べられません。",
                        "Without Windows event logs, movement from host to host can't be seen."))
    if not formats & {"squid", "fortigate", "w3c", "access", "paloalto"}:
        out.append(Text("プロキシとファイアウォールのログがないため、外部との通信と持ち出しは調べられません。",
                        "Without proxy and firewall logs, outside traffic and theft of data can't be seen."))
    if story.spread and not story.exfiltration:
        out.append(Text("持ち出しの跡は見つかっていません。なかったことを意味しません。",
                        "No trace of data leaving was found. That does not mean that none left."))
    cleared = sorted({g.host for g in story.log_gaps if g.kind == "cleared"})
    if cleared:
        names = ", ".join(cleared[:8])
        out.append(Text(f"{names} のログは消されています。転送先のログ、バックアップ、メモリを探してください。",
                        f"Logs of {names} were cleared. Look for forwarded logs, backups and memory."))
    if case.identification.verdict in ("candidates", "unknown") and story.encrypted_hosts:
        out.append(Text("ランサムウェアの名前は決められません。脅迫文と暗号化ファイルの実物があれば進みます。",
                        "The ransomware can't be named. The ransom note and encrypted samples would help."))
    if skipped_indicators:
        out.append(Text(f"指標リストの {skipped_indicators:,} 行は使えませんでした。",
                        f"{skipped_indicators:,} lines of the indicator lists could not be used."))
    return tuple(out)
