"""What an attacker's step looks like in one record: the signals, their weight and technique.

Weight 3 alone shows that someone who should not be there was at work; 2 needs a second,
different signal or an attacker's session beside it; 1 only colours a story that is there.
Technique ids are ATT&CK's.
"""

from __future__ import annotations

from dataclasses import dataclass

from hikeshi.model.text import Text


@dataclass(frozen=True, slots=True)
class Signal:
    """A kind of step: its name in a digest, its weight, its technique, and what it says."""

    name: str
    weight: int
    technique: str
    says: Text


_ALL = (
    Signal(
        "office_child",
        3,
        "T1566.001",
        Text("Office文書からコマンドが起動しました", "an Office document started a command"),
    ),
    Signal(
        "web_child",
        3,
        "T1505.003",
        Text("Webサーバーのプロセスがコマンドを起動しました", "the web server process started a command"),
    ),
    Signal("sql_child", 3, "T1505.001", Text("データベースがコマンドを起動しました", "the database started a command")),
    Signal(
        "lsass_dump",
        3,
        "T1003.001",
        Text("認証情報(LSASSのメモリー)が読まれました", "credentials were read from the memory of LSASS"),
    ),
    Signal("credential_dump", 3, "T1003", Text("認証情報の取り出しが行われました", "credentials were dumped")),
    Signal(
        "shadow_delete",
        3,
        "T1490",
        Text("復元用のコピーや設定が壊されました", "backup copies or recovery settings were destroyed"),
    ),
    Signal(
        "remote_shell",
        3,
        "T1021.002",
        Text("管理共有を使う遠隔コマンドの跡があります", "traces of a remote shell that writes to an admin share"),
    ),
    Signal(
        "command_service",
        3,
        "T1569.002",
        Text("コマンドがサービスとして登録されました", "a command was installed as a service"),
    ),
    Signal("attack_script", 3, "T1059.001", Text("攻撃用のスクリプトが実行されました", "an attack script was run")),
    Signal(
        "ransom_note",
        3,
        "T1486",
        Text("脅迫文とみられるファイルが書かれました", "files that look like ransom notes were written"),
    ),
    Signal("encrypted", 3, "T1486", Text("暗号化されたファイルが見つかりました", "encrypted files were found")),
    Signal(
        "web_shell_file",
        2,
        "T1505.003",
        Text("Webの公開フォルダーにスクリプトが置かれました", "a script was placed in a web folder"),
    ),
    Signal("log_clear", 2, "T1070.001", Text("イベントログが消去されました", "an event log was cleared")),
    Signal(
        "encoded_command", 2, "T1059.001", Text("符号化されたコマンドが実行されました", "an encoded command was run")
    ),
    Signal("download", 2, "T1105", Text("コマンドがファイルを取得しました", "a command downloaded a file")),
    Signal(
        "script_host",
        2,
        "T1218",
        Text("正規の部品を使ったスクリプトの実行です", "a system program was used to run a script"),
    ),
    Signal("wmi_child", 2, "T1047", Text("WMI経由でコマンドが起動しました", "a command was started through WMI")),
    Signal(
        "winrm_child", 2, "T1021.006", Text("WinRM経由でコマンドが起動しました", "a command was started through WinRM")
    ),
    Signal(
        "psexec_child",
        2,
        "T1569.002",
        Text("PsExecのサービスがコマンドを起動しました", "the PsExec service started a command"),
    ),
    Signal(
        "service_child",
        2,
        "T1569.002",
        Text("サービスとしてコマンドが起動しました", "a command was started as a service"),
    ),
    Signal("odd_service", 2, "T1543.003", Text("不審なサービスが登録されました", "a suspicious service was installed")),
    Signal("odd_task", 2, "T1053.005", Text("不審なタスクが登録されました", "a suspicious task was registered")),
    Signal("odd_run_key", 2, "T1547.001", Text("自動起動の設定が加えられました", "an autostart entry was added")),
    Signal(
        "exfil_tool", 2, "T1567", Text("外部へ送るための道具が使われました", "a tool for sending data out was used")
    ),
    Signal("remote_tool", 2, "T1219", Text("遠隔操作ソフトが使われました", "a remote access tool was used")),
    Signal("tunnel", 2, "T1572", Text("通信を中継する道具が使われました", "a tunnelling tool was used")),
    Signal("defence_off", 2, "T1562.001", Text("防御機能が止められました", "defences were switched off")),
    Signal("recon_tool", 2, "T1087.002", Text("内部を調べる道具が使われました", "a reconnaissance tool was used")),
    Signal("account_added", 2, "T1136", Text("アカウントが作られました", "an account was created")),
    Signal(
        "rdp_tunnel",
        2,
        "T1572",
        Text(
            "自分自身からのリモートデスクトップがあり、中継が疑われます",
            "a remote desktop logon from the machine itself, as through a tunnel",
        ),
    ),
    Signal("psexec", 1, "T1569.002", Text("PsExecのサービスが登録されました", "the PsExec service was installed")),
    Signal(
        "dropped_program",
        1,
        "T1105",
        Text("プログラムが一時的な場所に書かれました", "a program was written to a temporary place"),
    ),
    Signal("archive", 1, "T1560.001", Text("ファイルがまとめられました", "files were packed into an archive")),
    Signal("recon", 1, "T1087.002", Text("内部の情報が調べられました", "the network was explored")),
    Signal(
        "remote_exec_client", 1, "T1021", Text("他のPCへの遠隔操作の命令です", "a command aimed at another machine")
    ),
    Signal("winrm_host", 1, "T1021.006", Text("WinRMの受け側が動きました", "the WinRM host process ran")),
    Signal(
        "rdp_client",
        1,
        "T1021.001",
        Text("リモートデスクトップが起動されました", "the remote desktop client was started"),
    ),
)
SIGNALS: dict[str, Signal] = {s.name: s for s in _ALL}
STRONG = frozenset(s.name for s in _ALL if s.weight >= 3)

# One way to reach a machine, its ATT&CK id, and how it is said.
METHODS: dict[str, tuple[str, Text]] = {
    "rdp": ("T1021.001", Text("リモートデスクトップ", "remote desktop")),
    "smb": ("T1021.002", Text("ファイル共有(管理共有)", "an administrative share")),
    "psexec_service": ("T1569.002", Text("PsExec", "PsExec")),
    "service": ("T1543.003", Text("遠隔でのサービス登録", "a service installed remotely")),
    "wmi": ("T1047", Text("WMI", "WMI")),
    "winrm": ("T1021.006", Text("WinRM", "WinRM")),
    "scheduled_task": ("T1053.005", Text("遠隔でのタスク登録", "a task registered remotely")),
    "remote_tool": ("T1219", Text("遠隔操作ソフト", "a remote access tool")),
    "ssh": ("T1021.004", Text("SSH", "SSH")),
    "vpn": ("T1133", Text("VPN", "VPN")),
    "web_shell": ("T1505.003", Text("Webシェル", "a web shell")),
    "unknown": ("T1021", Text("方法は不明", "an unknown method")),
}
