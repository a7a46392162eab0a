"""What a started program says about an attacker: one signal name per command, or None.

Works on unique (image, command line, parent) triples, so cost follows distinct commands.
All patterns are ours; no foreign text becomes a pattern. Commands are read up to 4,000 characters.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SHELLS = frozenset(
    (
        "cmd.exe",
        "powershell.exe",
        "pwsh.exe",
        "mshta.exe",
        "wscript.exe",
        "cscript.exe",
        "rundll32.exe",
        "regsvr32.exe",
        "certutil.exe",
        "bitsadmin.exe",
        "msbuild.exe",
        "installutil.exe",
        "wmic.exe",
        "schtasks.exe",
        "net.exe",
        "net1.exe",
        "whoami.exe",
        "systeminfo.exe",
        "ipconfig.exe",
        "nltest.exe",
        "tasklist.exe",
        "curl.exe",
        "bash.exe",
        "sh",
        "sh.exe",
        "bash",
        "ping.exe",
        "hostname.exe",
        "quser.exe",
    )
)
_OFFICE = frozenset(
    (
        "winword.exe",
        "excel.exe",
        "powerpnt.exe",
        "outlook.exe",
        "onenote.exe",
        "msaccess.exe",
        "mspub.exe",
        "visio.exe",
        "eqnedt32.exe",
        "acrord32.exe",
        "acrobat.exe",
        "wordpad.exe",
        "hh.exe",
    )
)
_WEB = frozenset(
    (
        "w3wp.exe",
        "httpd.exe",
        "nginx.exe",
        "tomcat.exe",
        "tomcat8.exe",
        "tomcat9.exe",
        "php-cgi.exe",
        "php.exe",
        "umworkerprocess.exe",
        "apache.exe",
    )
)
# What a program nobody suspects starts when an attacker speaks through it.
_STARTED = ("encoded_command", "download", "script_host")
_INSTALLED = re.compile(r"[a-z]:\\(?:program files(?: \(x86\))?|programdata)\\[^\\]+\\", re.I)
_STARTERS = _SHELLS | frozenset(  # browsers and tools for programming start scripts as they are told
    ("msedge.exe", "chrome.exe", "firefox.exe", "code.exe", "devenv.exe", "git.exe", "python.exe", "node.exe",
     "java.exe", "javaw.exe", "conhost.exe", "windowsterminal.exe", "pwsh_ise.exe")
)  # fmt: skip
# Office starts these itself, and web servers compile pages: not by themselves a sign.
_ADMIN_SHARE = re.compile(r"\\\\(?:127\.0\.0\.1|localhost)\\(?:admin\$|c\$)|\\\\\.\\pipe\\\w+ ?pipe", re.I)
_ENCODED = re.compile(r"(?:^|\s)[-/\u2013]e(?:c|n|nc|nco|ncod|ncode|ncoded|ncodedc\w*)?\s+[\"']?[a-z0-9+/=]{24,}", re.I)
_DOWNLOAD = re.compile(
    r"downloadstring|downloadfile|downloaddata|invoke-webrequest|\biwr\b|start-bitstransfer|frombase64string|"
    r"net\.webclient|certutil(?:\.exe)?\"?\s.*(?:urlcache|verifyctl)|bitsadmin(?:\.exe)?\"?\s.*/transfer|"
    r"(?:curl|wget)(?:\.exe)?\"?\s.*https?://",
    re.I,
)
_SHADOW = re.compile(
    r"(?:vssadmin|diskshadow)(?:\.exe)?\"?\s.*(?:delete|resize)\s|shadowcopy\s+.*delete|shadowcopy\s+delete|"
    r"win32_shadowcopy.*(?:delete|remove)|wbadmin(?:\.exe)?\"?\s+delete|"
    r"bcdedit(?:\.exe)?\"?\s.*(?:recoveryenabled\s+no|ignoreallfailures)",
    re.I,
)
_LSASS = re.compile(
    r"(?:procdump|rundll32|dumpert|nanodump|createdump|sqldumper|rdrleakdiag).*lsass|"
    r"-accepteula\b.*\blsass|\s-m[ap]\s+lsass|"
    r"comsvcs(?:\.dll)?[\s,\"]+(?:minidump|#\+?24)|sekurlsa|lsass\.dmp|lsadump::",
    re.I,
)
_CREDENTIAL = re.compile(
    r"mimikatz|ntdsutil.*(?:ifm|ntds)|reg(?:\.exe)?\"?\s+save\s+\"?hklm\\(?:sam|security|system)|ntds\.dit|"
    r"lazagne|kerberos::(?:golden|ptt)|rubeus|invoke-kerberoast|secretsdump|gsecdump|vaultcmd.*list",
    re.I,
)
_LOG_CLEAR = re.compile(
    r"wevtutil(?:\.exe)?\"?\s+(?:cl|clear-log)\b|clear-eventlog|remove-eventlog|"
    r"nteventlog.*clear|cleareventlog",
    re.I,
)
_ATTACK_SCRIPT = re.compile(
    r"invoke-(?:mimikatz|bloodhound|sharphound|powerdump|tokenmanipulation|dcsync|psexec|smbexec|wmiexec|phant0m|"
    r"obfuscat|reflectivepeinjection|shellcode)|minidumpwritedump|amsiinitfailed|amsiutils|powersploit|powerview|"
    r"empire\.ps1|get-domaincontroller.*spn|virtualalloc.*createthread|powercat",
    re.I,
)
_DEFENCE = re.compile(
    r"set-mppreference.*disable|add-mppreference.*exclusion|disableantispyware|disablerealtimemonitoring|"
    r"(?:sc|net1?|taskkill|sc\.exe|net1?\.exe)\"?\s.*(?:stop|delete|/f|disabled).*"
    r"(?:windefend|sense|mssense|sophos|mcshield|csfalcon|sentinelagent|ekrn|wdnissvc)|"
    r"advfirewall.*(?:state\s+off)|uninstall.*(?:defender|antivirus|endpoint security)|"
    r"reg(?:\.exe)?\"?\s+add.*(?:runasppl|wdigest|restrictedadmin)",
    re.I,
)
_RECON_TOOL = re.compile(
    r"\b(?:adfind|sharphound|bloodhound|netscan|advanced_ip_scanner|advanced_port_scanner|"
    r"pingcastle|adrecon|softperfect|nbtscan|seatbelt|sharpshares|masscan)\b",
    re.I,
)
_RECON = re.compile(
    r"nltest(?:\.exe)?\"?\s+/?[a-z_]*(?:dclist|trusts|dsgetdc)|/domain_trusts|"
    r"net1?(?:\.exe)?\"?\s+(?:group|localgroup|user|view|accounts)\b.*(?:/domain|admin)|"
    r"whoami(?:\.exe)?\"?\s*(?:/|$)|\bquser\b|dsquery\b|net1?(?:\.exe)?\"?\s+view|"
    r"get-ad(?:user|computer|group|domain)|systeminfo(?:\.exe)?\"?\s*$",
    re.I,
)
_ACCOUNT = re.compile(
    r"net1?(?:\.exe)?\"?\s+(?:user|localgroup|group)\s+.*?/add|new-localuser|new-aduser|"
    r"add-localgroupmember",
    re.I,
)
_EXFIL = re.compile(
    r"\b(?:rclone|megasync|megacmd|megatools|winscp|filezilla|pscp|restic|freefilesync|azcopy)\b|"
    r"curl(?:\.exe)?\"?\s.*(?:\s-T\s|--upload-file|\s-F\s|--data-binary\s+@)|"
    r"invoke-(?:webrequest|restmethod).*-(?:infile|method\s+p(?:ut|ost))|uploadfile\(",
    re.I,
)
REMOTE_TOOL = re.compile(
    r"anydesk|teamviewer|screenconnect|connectwisecontrol|atera(?:agent)?\b|rustdesk|splashtop|meshagent|"
    r"supremo|ammyy|dwagent|simplehelp|remoteutilities|rutserv|zohoassist|logmein|tactical ?rmm|level\.exe|"
    r"pdqconnect|netsupport|client32\.exe|ultraviewer|action1",
    re.I,
)
_TUNNEL = re.compile(
    r"\b(?:ngrok|chisel|frpc|plink|cloudflared|ligolo|gost|socat|revsocks|stunnel|iodine)\b|"
    r"netsh(?:\.exe)?\"?\s.*portproxy\s+add|ssh(?:\.exe)?\"?\s.*\s-R\s",
    re.I,
)
_VM_KILL = re.compile(
    r"esxcli\s+vm\s+process\s+kill|vim-cmd\s+vmsvc/(?:power\.off|snapshot\.removeall|destroy)|"
    r"esxcli\s+system\s+(?:settings.*execInstalledOnly|syslog.*(?:reload|set))|/vmfs/volumes\S*\s*$",
    re.I,
)
_ARCHIVER = re.compile(
    r"(?:\b7z[agr]?(?:\.exe)?\"?\s+a\s|\b(?:win)?rar(?:\.exe)?\"?\s+a\s|compress-archive|\btar(?:\.exe)?\"?\s+-?[a-z]*c[a-z]*f|"
    r"\bmakecab\b|zipfile\]::createfromdirectory)",
    re.I,
)
_ARCHIVE_PATH = re.compile(
    r"(\"[^\"]+\.(?:7z|zip|rar|cab|tar|gz|tgz)(?:\.\d{3})?\"|"
    r"[^\s\"']+\.(?:7z|zip|rar|cab|tar|gz|tgz)(?:\.\d{3})?)(?=[\s\"']|$)",
    re.I,
)
_REMOTE_EXEC = re.compile(
    r"(?:psexec(?:64)?|paexec|remcom)(?:\.exe)?\"?\s.*?\\\\(?P<psexec>[\w.@-]+)|"
    r"wmic(?:\.exe)?\"?\s.*?/node:\s*[\"']?@?(?P<wmi>[\w.-]+)|"
    r"winrs(?:\.exe)?\"?\s.*?-r(?:emote)?:(?:https?://)?(?P<winrs>[\w.-]+)|"
    r"(?:invoke-command|enter-pssession|new-pssession|icm)\s.*?-(?:computername|cn)\s+[\"']?(?P<winrm>[\w.-]+)|"
    r"invoke-(?:wmimethod|cimmethod)\s.*?-computername\s+[\"']?(?P<wmips>[\w.-]+)|"
    r"schtasks(?:\.exe)?\"?\s.*?/s\s+(?:\\\\)?(?P<task>[\w.-]+)|"
    r"sc(?:\.exe)?\"?\s+\\\\(?P<service>[\w.-]+)\s+(?:create|start|config)|"
    r"(?:copy|xcopy|robocopy|net\s+use|move)\b.*?\\\\(?P<smb>[\w.-]+)\\(?:admin|[a-z])\$|"
    r"mstsc(?:\.exe)?\"?\s.*?/v:\s*(?P<rdp>[\w.-]+)|"
    r"\bssh(?:\.exe)?\"?\s(?:.*?@)(?P<ssh>[\w.-]+)",
    re.I,
)
_REMOTE_METHOD = {
    "psexec": "psexec_service",
    "wmi": "wmi",
    "wmips": "wmi",
    "winrs": "winrm",
    "winrm": "winrm",
    "task": "scheduled_task",
    "service": "service",
    "smb": "smb",
    "rdp": "rdp",
    "ssh": "ssh",
}
# Folders every user may write to, and where no installer puts programs.
ODD_FOLDER = re.compile(
    r"\\(?:perflogs|temp|tmp|users\\public|\$recycle\.bin|windows\\debug|windows\\tasks|windows\\temp|"
    r"appdata\\(?:local|roaming)|downloads|music|videos|pictures|intel|recovery)\\|"
    r"^[a-z]:\\(?:programdata\\)?[^\\]+\.\w{2,4}$|%(?:public|temp|tmp|appdata|programdata)%",
    re.I,
)
_SCRIPT_HOST = re.compile(
    r"(?:mshta|regsvr32|rundll32|wscript|cscript)(?:\.exe)?\"?\s.*(?:https?:|javascript:|vbscript:|/i:http|scrobj|"
    r"appdata\\|\\temp\\|users\\public|downloads\\)|"
    # A library that calls itself something else, or lies on a drive that was put in: disc images from mails.
    r"\brundll32(?:\.exe)?\"?\s+\"?(?:[^\",]*\.(?!dll\b|cpl\b|ocx\b|drv\b|exe\b|inf\b|ax\b)\w{1,8}\"?,|[d-z]:\\[^\",]*,)|"
    r"\bregsvr32(?:\.exe)?\"?\s+(?:[-/]\S+\s+)*\"?(?:[a-z]:[^\"\s]*\.(?!dll\b|ocx\b|ax\b|cpl\b)\w{1,8}(?:\"|\s|$)|[d-z]:\\)",
    re.I,
)
_PSEXEC_NAMES = re.compile(r"psexesvc|paexec|remcomsvc|csexecsvc", re.I)
_COMMAND_SERVICE = re.compile(
    r"%comspec%|\bcmd(?:\.exe)?\"?\s+/|powershell|pwsh|rundll32|mshta|regsvr32|\\\\127\.0\.0\.1\\|\\\\localhost\\|"
    r"\\\\\.\\pipe\\|wscript|cscript|\\admin\$\\",
    re.I,
)
# A program directly in the Windows folder (%systemroot%\QkZxTf.exe): where ADMIN$ points.
_ADMIN_ROOT = re.compile(r"^\"?(?:%systemroot%|%windir%|c:\\windows|\\systemroot)\\[^\\ ]+\.exe\"?(?:\s|$)", re.I)
# Tasks run scripts every day: only what hides itself or borrows a system program is odd.
_HIDDEN_COMMAND = re.compile(
    r"-w(?:indowstyle)?\s+hidden|rundll32|mshta|regsvr32|%comspec%|\bcmd(?:\.exe)?\"?\s+/[cq].*(?:[<>&|]|\\\\)|"
    r"\biex\b|invoke-expression",
    re.I,
)
_LONG = 4000


def file_name(path: str) -> str:
    """The last part of a Windows or POSIX path, lower case."""
    return path.replace("/", "\\").rstrip('\\" ').rsplit("\\", 1)[-1].strip('" ').lower()


def installed_program(path: str) -> bool:
    """A product's own program where installers put it, and none that starts what people tell it to."""
    return _INSTALLED.match(path) is not None and file_name(path) not in _STARTERS


@lru_cache(maxsize=65536)
def program_signal(image: str, command: str, parent: str) -> str | None:
    """The signal of a started program, strongest first; None for everyday work."""
    name, above = file_name(image), file_name(parent)
    text = command[:_LONG] if command else image[:_LONG]
    shell = name in _SHELLS
    if above in _OFFICE and (shell or ODD_FOLDER.search(image)):
        return "office_child"
    if above in _WEB and shell:
        return "web_child"
    if above == "sqlservr.exe" and shell:
        return "sql_child"
    by_command = command_signal(text)
    if (shell and by_command in _STARTED) or (shell and _HIDDEN_COMMAND.search(text)):
        if REMOTE_TOOL.search(above):
            return "remote_tool_child"
        if by_command in _STARTED and installed_program(parent):
            return "vendor_child"
    if by_command in ("lsass_dump", "credential_dump", "shadow_delete", "remote_shell", "attack_script"):
        return by_command
    if _PSEXEC_NAMES.search(above):
        return "psexec_child"
    if above == "wmiprvse.exe" and shell:
        return "wmi_child"
    if above == "wsmprovhost.exe" and name not in ("conhost.exe", "wsmprovhost.exe"):
        return "winrm_child"
    if above == "services.exe" and (shell or _COMMAND_SERVICE.search(text)):
        return "service_child"
    if by_command:
        return by_command
    if name == "wsmprovhost.exe":
        return "winrm_host"
    if name == "mstsc.exe":
        return "rdp_client"
    if shell and name not in ("ping.exe", "rundll32.exe") and REMOTE_TOOL.search(above):
        return "remote_tool_child"
    if name.endswith(".exe") and REMOTE_TOOL.search(name):
        return "remote_tool"
    return None


@lru_cache(maxsize=65536)
def command_signal(text: str) -> str | None:
    """The signal of a command line or script alone."""
    text = text[:_LONG]
    for name, pattern in _BY_COMMAND:
        if pattern.search(text):
            return name
    if remote_target(text):
        return "remote_exec_client"
    return None


_BY_COMMAND: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("lsass_dump", _LSASS),
    ("credential_dump", _CREDENTIAL),
    ("shadow_delete", _SHADOW),
    ("remote_shell", _ADMIN_SHARE),
    ("vm_kill", _VM_KILL),
    ("attack_script", _ATTACK_SCRIPT),
    ("log_clear", _LOG_CLEAR),
    ("defence_off", _DEFENCE),
    ("exfil_tool", _EXFIL),
    ("tunnel", _TUNNEL),
    ("archive", _ARCHIVER),
    ("encoded_command", _ENCODED),
    ("download", _DOWNLOAD),
    ("script_host", _SCRIPT_HOST),
    ("recon_tool", _RECON_TOOL),
    ("account_added", _ACCOUNT),
    ("recon", _RECON),
)


@lru_cache(maxsize=16384)
def remote_target(command: str) -> tuple[str, str] | None:
    """(host, method) a command line aims at; None when it names no other machine."""
    match = _REMOTE_EXEC.search(command[:_LONG])
    if not match or match.lastgroup is None:
        return None
    host = match[match.lastgroup]
    if host.lower() in ("localhost", "127.0.0.1", "."):
        return None
    return host, _REMOTE_METHOD[match.lastgroup]


def archive_path(command: str) -> str | None:
    """The archive a packing command writes; None when the command packs nothing."""
    if not _ARCHIVER.search(command[:_LONG]):
        return None
    match = _ARCHIVE_PATH.search(command[:_LONG])
    return match[1].strip('"') if match else None


def service_signal(name: str, path: str) -> str | None:
    """`psexec` for PsExec and its kin, `remote_tool`, `command_service` for commands, `odd_service` for odd folders."""
    if _PSEXEC_NAMES.search(name[:200]) or _PSEXEC_NAMES.search(file_name(path[:_LONG])):
        return "psexec"
    if REMOTE_TOOL.search(name[:200]) or REMOTE_TOOL.search(path[:_LONG]):
        return "remote_tool"
    text = path[:_LONG]
    if _COMMAND_SERVICE.search(text):
        return "command_service"
    if ODD_FOLDER.search(text.strip('"')) or _ADMIN_ROOT.search(text):
        return "odd_service"
    return None


def task_signal(name: str, content: str) -> str | None:
    """`odd_task` when the action is a script, an encoded command or a program in an odd folder."""
    command = task_command(content)
    if not command:
        return None
    if (
        ODD_FOLDER.search(command)
        or command_signal(command)
        or _HIDDEN_COMMAND.search(command[:_LONG])
        or command.startswith("\\\\")
    ):
        return "odd_task"
    return None


_EXEC = re.compile(r"<Command>(.{0,2000}?)</Command>(?:\s*<Arguments>(.{0,4000}?)</Arguments>)?", re.S)


def task_command(content: str) -> str:
    """Command and arguments of a task's definition; the text itself when it is no XML."""
    match = _EXEC.search(content[:40_000])
    if not match:
        return "" if content.lstrip().startswith("<") else content
    text = f"{match[1]} {match[2] or ''}".strip()
    for entity, sign in (("&quot;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, sign)
    return text


_NOTE = re.compile(
    r"(?:read.?me|recover|restor|decrypt|unlock|how.?to|how_to|help|ransom|instruction|readme)"
    r"[^\\/]*\.(?:txt|html?|hta|rtf)$",
    re.I,
)
_NOTE_STRONG = re.compile(r"(?:recover|restor|decrypt|unlock|ransom)", re.I)
_WEB_FILE = re.compile(
    r"(?:inetpub|wwwroot|webapps|htdocs|www|webroot|aspnet_client|frontend)[\\/].*"
    r"\.(?:aspx?|ashx|asmx|php\d?|phtml|jspx?|cfm)$",
    re.I,
)
# What arrives by mail and starts something, where Outlook and Explorer put it.
_MAIL_FILE = re.compile(
    r"\\(?:content\.outlook|inetcache\\content|temp1_[^\\]+|temporary internet files|7zo[^\\]*|rar\$[^\\]*)\\.*"
    r"\.(?:lnk|js|jse|vbs|vbe|wsf|hta|iso|img|vhdx?|zip|rar|7z|one|xlsm|docm|xls|doc|chm|html?)$",
    re.I,
)
_ARCHIVE_FILE = re.compile(r"\.(?:7z|zip|rar|cab|tar|tgz)(?:\.\d{3})?$", re.I)
_PROGRAM_FILE = re.compile(r"\.(?:exe|dll|ps1|bat|cmd|vbs|js|hta|scr|msi)$", re.I)


def file_signal(path: str, by: str) -> str | None:
    """The signal of a file that was written (`by`: the writing program)."""
    if _WEB_FILE.search(path) and file_name(by) in (_WEB | _SHELLS):
        return "web_shell_file"
    last = path.rsplit("\\", 1)[-1]
    if _NOTE.search(last) and _NOTE_STRONG.search(last):
        return "ransom_note"
    if _MAIL_FILE.search(path):
        return "mail_file"
    if _ARCHIVE_FILE.search(path):
        return "archive" if ODD_FOLDER.search(path) else None
    if (
        _PROGRAM_FILE.search(path)
        and ODD_FOLDER.search(path)
        and file_name(by) not in ("msiexec.exe", "trustedinstaller.exe", "tiworker.exe", "svchost.exe")
    ):
        return "dropped_program"
    return None


# Programs that open LSASS all day: Windows itself and what protects it.
_LSASS_FRIENDS = frozenset(
    (
        "csrss.exe",
        "wininit.exe",
        "services.exe",
        "lsm.exe",
        "lsass.exe",
        "svchost.exe",
        "wmiprvse.exe",
        "msmpeng.exe",
        "smss.exe",
        "vmtoolsd.exe",
        "taskmgr_.exe",
        "werfault.exe",
        "winlogon.exe",
        "mpdefendercoreservice.exe",
        "mssense.exe",
        "senseir.exe",
        "csfalconservice.exe",
        "sysmon.exe",
        "sysmon64.exe",
        "perfmon.exe",
    )
)


def lsass_access(image: str, access: str) -> bool:
    """Whether a program opened LSASS so that its memory can be read."""
    name = file_name(image)
    if name in _LSASS_FRIENDS or "\\windows defender\\" in image.lower():
        return False
    try:
        mask = int(access, 16)
    except ValueError:
        return False
    # VM_READ, and not only the query right which every process list needs
    return bool(mask & 0x10)
