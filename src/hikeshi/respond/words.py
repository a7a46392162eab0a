"""What controls, causes, kinds of accounts, steps, mail measures and protocols are called, in both languages.

The keys are what is stored (state.py, isolation.py, accounts.py, the desk's rows); their order is that of the work.
"""

from __future__ import annotations

from hikeshi.model.text import Text

CONTROL: dict[str, Text] = {
    "firewall": Text("ファイアウォール", "firewall"),
    "proxy": Text("プロキシ", "proxy"),
    "dns": Text("DNS", "DNS"),
    "mail": Text("メール", "mail"),
}
CAUSE: dict[str, Text] = {
    "encryption": Text("暗号化", "encryption"),
    "c2_alive": Text("指令サーバと通信中", "line to the attacker"),
    "domain_controller": Text("ドメインコントローラー", "domain controller"),
    "theft": Text("持ち出し", "theft"),
    "spread": Text("感染拡大の元", "spread"),
    "traces": Text("侵害の跡", "traces"),
}
KIND: dict[str, Text] = {
    "logon": Text("サインイン", "sign-in"),
    "service": Text("サービス", "service"),
    "mail": Text("メール", "mail"),
    "browser": Text("ブラウザ", "browser"),
    "vpn": Text("VPN", "VPN"),
    "local": Text("ローカル管理者", "local administrator"),
    "machine": Text("機器", "machine"),
    "krbtgt": Text("Kerberos", "Kerberos"),
}
# The order of work: the damage first. Leaving one out, or going on before it is done, needs a reason.
STEPS: dict[str, Text] = {
    "decide": Text("全面遮断するかを決める", "Decide on a full cut-off"),
    "isolate": Text(
        "機器をネットワークから切り離す(電源は切らない)", "Take the machines off the network (leave them on)"
    ),
    "block": Text("攻撃者の接続先を遮断する", "Block the attacker's destinations"),
    "mail": Text("メールとWeb以外の通信を止める", "Stop abuse of mail and of other protocols"),
    "accounts": Text("切り離した後にパスワードを変える", "Change the passwords, after isolation"),
    "check": Text("止まったことを確かめる(1時間後と翌朝)", "Check that it holds: after an hour, and next morning"),
    "scope": Text("被害の範囲を調べる", "Find out how far it went"),
    "recover": Text("復旧する", "Recover"),
}
MAIL: dict[str, Text] = {
    "revoke": Text(
        "盗まれたアカウントのサインインをすべて切ります(開いているセッションも)",
        "Revoke every sign-in of the stolen accounts, open sessions too",
    ),
    "block_sending": Text(
        "そのアカウントからの送信を止めます(なりすましメールを防ぐ)",
        "Block sending from these accounts: no mail in your name with stolen credentials",
    ),
    "forwarding": Text(
        "外部への自動転送と受信トレイの転送規則を確かめ、消します",
        "Find and remove automatic forwarding and inbox rules to the outside",
    ),
    "mail_lists": Text(
        "攻撃者の宛先・差出人・添付をメールの遮断リストに入れます(内部情報の送出を防ぐ)",
        "Load the attacker's addresses, links and attachments into the mail block lists: nothing leaves to them",
    ),
    "cut_mail": Text(
        "メールの遮断も決めます(外向きだけ止める、添付を止める、全部)",
        "Decide on mail too: outgoing only, attachments, or all",
    ),
}
PROTOCOLS: dict[str, Text] = {
    "ssh": Text("SSH", "SSH"),
    "ftp": Text("FTP", "FTP"),
    "dns": Text("外部DNSへの直接の問い合わせ", "DNS straight to the outside"),
    "vpn": Text("VPN・トンネル", "VPN and tunnels"),
    "remote": Text("遠隔操作ソフト", "remote control"),
}
