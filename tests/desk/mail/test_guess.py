"""Words and file names of a mail propose a kind; near misses propose none."""

from __future__ import annotations

import pytest

from hikeshi_desk.cases.models import Case
from hikeshi_desk.mail.guess import guess
from hikeshi_desk.mail.receive import receive

HITS = [("ransomware", "サーバーのファイルが全部暗号化されました"), ("ransomware", "拡張子が変わって開けません"), ("ransomware", "Our files have been encrypted"),
        ("ransomware", "身代金を要求されています"), ("ransomware", "ランサムウェアに感染したようです"), ("ransomware", "We were hit by ransomware last night"),
        ("phishing", "フィッシングサイトを見つけました"), ("web_compromise", "ホームページが改ざんされました"), ("ddos", "DDoSを受けています"),
        ("data_leak", "個人情報が流出しました"), ("fraud", "サポート詐欺にあいました"), ("malware", "ウイルスに感染しました"), ("vulnerability", "脆弱性を発見しました"),
        ("lost_device", "営業の者が電車でパソコンを置き忘れました"), ("lost_device", "My laptop was stolen yesterday"), ("supply_chain", "委託先の会社が攻撃を受けました"),
        ("supply_chain", "Our supplier was breached"), ("unauthorised_access", "メールのアカウントが乗っ取られました"), ("unauthorised_access", "VPNに不正ログインされました")]
MISSES = ["ランサムウェア対策セミナーのご案内。ファイルが暗号化される前に。配信停止はこちら", "Webinar: your files are encrypted, what now? Unsubscribe here",
          "通信はTLSで暗号化しています", "メールを暗号化して送りたいのですが", "ランサムウェアについて教えてください", "プリンターが動きません",
          "ウイルス対策ソフトの更新について", "> Our files have been encrypted\n承知しました", "パスワードを変更したい", "パソコンを一台買い替えました", "取引先が変わりました", "不正アクセス禁止法について教えてください", "ご相談の受付時間を教えてください"]


@pytest.mark.parametrize(("kind", "words"), HITS)
def test_words_of_a_victim_name_a_kind(kind, words):
    assert guess("相談", words, []).kind == kind


@pytest.mark.parametrize("words", MISSES)
def test_near_misses_name_none(words):
    assert guess("ご案内", words, []) is None


@pytest.mark.parametrize(("name", "is_sign"), [
    ("HOW_TO_DECRYPT.txt", True), ("_readme_restore.txt", True), ("RESTORE-MY-FILES.txt", True), ("data.xlsx.lockbit", True),
    ("README.txt", False), ("readme.md", False), ("access.log", False), ("見積書.xlsx", False)])
def test_names_of_notes_are_signs(name, is_sign):
    found = guess("x", "添付を見てください", [name])
    assert (found is not None and found.kind == "ransomware") == is_sign


def test_mass_mail_is_not_guessed_at():
    assert guess("x", "ファイルが暗号化されました", [], is_bulk=True) is None


@pytest.mark.django_db
def test_ransomware_takes_the_urgent_lane_at_once_and_news_do_not(a_mail):
    receive([a_mail(body="NASのファイルが暗号化されました")], source="pipe")
    case = Case.objects.get()
    assert case.incident == "ransomware" and case.urgency == "high"
    receive([a_mail(Message_ID="<n@example.com>", List_Unsubscribe="<mailto:x@example.com>", body="サーバーのファイルが暗号化されました")], source="pipe")
    receive([a_mail(Message_ID="<p@example.com>", body="フィッシングサイトを見つけました")], source="pipe")
    assert [c.incident for c in Case.objects.order_by("serial")] == ["ransomware", "", ""]
