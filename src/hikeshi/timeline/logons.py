"""Who signed on where, from where, how often, and who tried to: one row per host, account, source and way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hikeshi.events.schema import FIELDS, TIME
from hikeshi.events.time import format_utc
from hikeshi.model.text import Text
from hikeshi.timeline.opened import Opened

WAYS: dict[str, Text] = {
    "2": Text("対話型", "at the machine"), "3": Text("ネットワーク", "network"), "4": Text("バッチ", "batch"),
    "5": Text("サービス", "service"), "7": Text("ロック解除", "unlock"),
    "8": Text("ネットワーク(平文)", "network, clear text"),
    "9": Text("別の資格情報", "other credentials"), "10": Text("リモートデスクトップ", "remote desktop"),
    "11": Text("対話型(保存済み)", "at the machine, cached"),
    "12": Text("リモート(保存済み)", "remote desktop, cached"),
    "13": Text("ロック解除(保存済み)", "unlock, cached"), "kerberos": Text("Kerberos", "Kerberos"),
    "ntlm": Text("NTLMの確認", "NTLM check"), "rdp": Text("リモートデスクトップ", "remote desktop"),
    "vpn": Text("VPN", "VPN"), "ssh": Text("SSH", "SSH"), "other": Text("その他", "other"),
}
# Records that tell of a logon itself; what follows from one (tickets for services, logoff) is not counted again.
_CODES = ("4624", "4625", "4768", "4771", "4776", "1149")
_WAY = f"""CASE WHEN "winlog.channel" IS NOT NULL AND "event.code" IN ('4624', '4625')
    THEN coalesce("{FIELDS}"['LogonType'], 'other')
  WHEN "event.code" IN ('4768', '4771') AND "winlog.channel" IS NOT NULL THEN 'kerberos'
  WHEN "event.code" = '4776' AND "winlog.channel" IS NOT NULL THEN 'ntlm'
  WHEN "winlog.channel" IS NOT NULL THEN 'rdp'
  WHEN "event.dataset" ILIKE '%sshd%' THEN 'ssh'
  WHEN "event.category" = 'authentication' AND ("observer.name" IS NOT NULL OR "event.dataset" ILIKE '%vpn%') THEN 'vpn'
  ELSE 'other' END"""
# 4768 and 4776 are written for success and failure alike; their status tells.
_OUTCOME = f"""CASE WHEN "event.code" IN ('4768', '4776') AND "winlog.channel" IS NOT NULL
    THEN CASE WHEN lower(coalesce("{FIELDS}"['Status'], '0x0')) IN ('0x0', '0') THEN 'success' ELSE 'failure' END
  ELSE coalesce("event.outcome", 'unknown') END"""
_ORDERS = {"failures": "failures DESC, successes DESC", "successes": "successes DESC, failures DESC",
           "first": "least(first_success, first_failure) NULLS LAST",
           "last": "greatest(last_success, last_failure) DESC NULLS LAST"}


@dataclass(frozen=True, slots=True)
class Logons:
    """One way of signing on. Times are UTC microseconds or None; `source` is the address, else the name it gave."""

    host: str
    domain: str
    account: str
    source: str
    source_name: str
    way: str
    successes: int
    failures: int
    first_success: int | None
    last_success: int | None
    first_failure: int | None
    last_failure: int | None

    def to_dict(self) -> dict[str, object]:
        times = {name: None if (at := getattr(self, name)) is None else format_utc(at)
                 for name in ("first_success", "last_success", "first_failure", "last_failure")}
        return {"host": self.host, "domain": self.domain, "account": self.account, "source": self.source,
                "source_name": self.source_name, "way": self.way, "successes": self.successes,
                "failures": self.failures, **times}


def logons(opened: Opened, *, order: str = "failures", machines: bool = False) -> Iterator[Logons]:
    """Rows by `order` (failures, successes, first, last); accounts of machines (NAME$) only if asked for."""
    kept = "" if machines else "AND NOT account LIKE '%$'"
    found = opened.link.cursor().execute(f"""
      WITH one AS (SELECT epoch_us("{TIME}") AS moment,
          lower(coalesce(nullif("host.name", ''), "observer.name", '')) AS host,
          lower(coalesce("user.domain", '')) AS domain, lower(coalesce("user.name", '')) AS account,
          coalesce(nullif(nullif("source.ip", ''), '-'), '') AS source,
          lower(coalesce("source.domain", '')) AS source_name, {_WAY} AS way, {_OUTCOME} AS outcome
        FROM event WHERE "event.category" = 'authentication'
          AND ("winlog.channel" IS NULL OR "event.code" IN {_CODES}))
      SELECT host, max(domain), account, source, max(source_name), way,
        count_if(good) AS successes, count_if(bad) AS failures,
        min(moment) FILTER (WHERE good) AS first_success, max(moment) FILTER (WHERE good) AS last_success,
        min(moment) FILTER (WHERE bad) AS first_failure, max(moment) FILTER (WHERE bad) AS last_failure
      FROM (SELECT *, outcome = 'success' AS good, outcome = 'failure' AS bad FROM one)
      WHERE account <> '' AND account <> '-' {kept}
      GROUP BY host, account, source, way HAVING successes + failures > 0
      ORDER BY {_ORDERS[order]}, host, account, source, way""")
    while several := found.fetchmany(2000):
        for row in several:
            yield Logons(*row)
