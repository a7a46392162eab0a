"""Every term of the trade in the desk's pages, the reports and the advice has its entry."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from hikeshi.knowledge.glossary import load_glossary, terms_in
from hikeshi.knowledge.load import DATA

# Latin words and runs of katakana in Japanese text are where terms of the trade hide.
CANDIDATE = re.compile(r"[A-Za-z][A-Za-z0-9-]+|[ァ-ヴー]{3,}")
NOT_PROSE = re.compile(r"\{\w+\}|https?://\S+|\[[a-z]+\]|/api/\S+|[\w.-]+\.(?:toml|eml|msg|asc|txt|zip|xlsx)\b|hikeshi [a-z -]+")

# What everybody knows who has used a computer, and the names of things.
EVERYDAY = """CC EU FIRST ID IP JavaScript LAN Lines Linux MB NIC PDF README SHA-256 USB VMware Wi-Fi Web Windows ZIP Zip infected
    locked xlsx eml msg asc txt zip toml desk oncall egress routing true アカウント アクセス アクセスログ アドレス アプリ アラート
    アルファベット インシデント インターネット インフラ ウイルス エラー エラーログ オンライン カード クラウド グループ ケーブル コピー コマンド コード
    サイバー サインアウト サインイン サーバー サービス システム システムダウン スマートフォン セキュリティ タイムゾーン チームチャット ディスク ディレクトリ データ
    データフォルダー データベース ネットワーク ハイフン バイト バックアップ バックアップサーバ パスワード パソコン フォルダ フォーム ブラウザ ブラウザー
    プログラム ページ ホスト マシン メニュー メモリ メンバー メール メールアドレス メールサーバー リセット リンク レコード レポーティング レポート
    MiB Fields System オブジェクト
    レンタルサーバ ログオン ローカル ヘッダー メソッド リクエスト https
    ログイン ダウンロード ライセンス Hikeshi hikeshi-knowledge hkpack pub CVE-2024-12345 Session Telegram MITRE
    businesslawyers jp newton-consulting security-next ガイドライン"""
# Of the page for those who write programs against the desk: it explains them itself.
FOR_PROGRAMMERS = """Allow Authorization Bearer Content-Type Idempotency-Key Retry-After alerts anonymous api application bytes
    cases consultations create detail errors finish octet-stream offset part read uploads v1 write mail-key abcd indicators"""


def japanese(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("ja"), str):
            yield value["ja"]
        else:
            yield from (text for item in value.values() for text in japanese(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in japanese(item))


def sources() -> dict[str, str]:
    desk = files("hikeshi_desk")
    places = [*(desk / "texts").iterdir(), desk / "cases" / "data" / "first_steps.toml",
              files("hikeshi") / "report" / "words.toml", DATA / "advice" / "general.toml", DATA / "sections.toml"]
    return {place.name: "\n".join(japanese(tomllib.loads(place.read_text("utf-8"))))
            for place in places if place.name.endswith(".toml")}


def without_entry(text: str) -> list[str]:
    known = " ".join(term.term.ja for term in load_glossary().values()).casefold()
    found = set(CANDIDATE.findall(NOT_PROSE.sub(" ", text)))
    return sorted(word for word in found - set(EVERYDAY.split()) - set(FOR_PROGRAMMERS.split()) if word.casefold() not in known)


@pytest.mark.parametrize("place", sorted(sources()))
def test_every_term_has_its_entry(place):
    assert without_entry(sources()[place]) == []


def test_a_term_without_entry_is_found_and_everyday_words_are_not():
    assert without_entry("パソコンでFOOBARのパススルーを見ます。") == ["FOOBAR", "パススルー"]
    assert without_entry("VPNとドメインコントローラ、hikeshi triage と {address} のメール") == []


def test_terms_are_found_whole_and_the_longest_first():
    def found(text: str, language: str) -> list[str]:
        return [one for _, _, one in terms_in(text, language)]
    assert found("use a VPN, not VPNs", "en") == ["vpn"]
    assert found("データ、DDoSとC2サーバ", "ja") == ["denial-of-service", "c2"]
    assert found("first aid kit", "en") == [] and found("", "ja") == []
    assert found("ドメインコントローラ", "ja") == ["domain-controller"]
    start, end, _ = next(terms_in("x krbtgt y", "en"))
    assert "x krbtgt y"[start:end] == "krbtgt"
