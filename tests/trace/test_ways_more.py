"""Ways in through managing agents, databases, disc images, and by border logs alone; and their near misses."""

from __future__ import annotations

import pytest

from hikeshi.trace.programs import program_signal

AGENT = "C:\\Program Files (x86)\\ManageIt\\AgentMon.exe"
CMD = "C:\\Windows\\System32\\cmd.exe"
POWERSHELL = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
HIDDEN = "powershell -w hidden -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACkA"
OFF = "cmd.exe /c powershell.exe Set-MpPreference -DisableRealtimeMonitoring $true"
SQL = "C:\\Program Files\\Microsoft SQL Server\\MSSQL15.X\\MSSQL\\Binn\\sqlservr.exe"
OUTSIDE = "203.0.113.9"


def first(story):
    return (story.entry_candidates[0].kind, story.entry_candidates[0].source, story.entry_candidates[0].host)


def hosts(story):
    return [h.name for h in story.compromised_hosts]


# ---------------------------------------------------------------------------------------------- managing agents


def agent(scene, host, minute, *, hidden=True, parent=AGENT, gap=6):
    scene.program(host, f"2026-06-08 14:{minute:02d}:00", "SYSTEM", CMD, OFF, parent, logon_id="0x3e7")
    if hidden:
        scene.program(host, f"2026-06-08 14:{minute:02d}:{gap:02d}", "SYSTEM", POWERSHELL, HIDDEN, CMD, logon_id="0x3e7")


def test_an_agent_that_switches_defences_off_and_hides_commands_is_the_way_in(scene):
    for minute, host in enumerate(("PC1", "PC2", "PC3")):
        agent(scene, host, minute)
    story = scene.story()
    assert first(story) == ("supplier", None, "PC1") and hosts(story) == ["PC1", "PC2", "PC3"]


def test_another_protection_that_is_rolled_out_is_none(scene):
    for minute, host in enumerate(("PC1", "PC2", "PC3")):
        agent(scene, host, minute, hidden=False)
    story = scene.story()
    assert not story.entry_candidates and not story.compromised_hosts


def test_defences_switched_off_by_hand_are_no_suppliers(scene):
    for minute, host in enumerate(("PC1", "PC2")):
        agent(scene, host, minute, parent="C:\\Windows\\explorer.exe")
    assert all(e.kind != "supplier" for e in scene.story().entry_candidates)


def test_one_machine_alone_is_a_candidate_and_starts_nothing(scene):
    agent(scene, "PC1", 0)
    story = scene.story()
    assert first(story)[0] == "supplier" and not story.compromised_hosts


# ---------------------------------------------------------------------------------------------- databases


def login(scene, time, outcome, source=OUTSIDE, user="sa", file="SRV1/ERRORLOG"):
    scene.line(file, time, **{"event.dataset": "mssql.errorlog", "event.category": "authentication", "event.outcome": outcome,
                              "user.name": user, "source.ip": source})


def shell(scene, time, command="whoami"):
    scene.program("SRV1", time, "SYSTEM", CMD, f"cmd.exe /c {command}", SQL, logon_id="0x3e7")


def guessed(scene, tries=40):
    for n in range(tries):
        login(scene, f"2026-06-08 02:{n:02d}:00", "failure")


def test_a_guessed_database_that_starts_commands_is_the_way_in(scene):
    guessed(scene)
    login(scene, "2026-06-08 03:00:00", "success")
    shell(scene, "2026-06-08 03:00:30")
    story = scene.story()
    assert first(story) == ("brute_force", OUTSIDE, "SRV1") and story.entry_candidates[0].account == "sa"
    assert hosts(story) == ["SRV1"] and [a.name for a in story.compromised_accounts] == ["sa"]


def test_windows_own_records_of_the_database_say_the_same(scene):
    def told(time, code, text):
        scene.windows("SRV1", time, code, "Application", Data=f"sa\n {text}\n [CLIENT: {OUTSIDE}]")

    for n in range(40):
        told(f"2026-06-08 02:{n:02d}:00", 18456, "Reason: Password did not match that for the login provided.")
    told("2026-06-08 03:00:00", 18454, "")
    shell(scene, "2026-06-08 03:00:30")
    assert first(scene.story()) == ("brute_force", OUTSIDE, "SRV1")


def test_a_database_that_starts_commands_for_nobody_known_is_a_way_in_without_source(scene):
    shell(scene, "2026-06-08 03:00:30")
    assert first(scene.story()) == ("vulnerability", None, "SRV1")


@pytest.mark.parametrize("source", ["10.0.0.5", "192.168.1.7"])
def test_an_application_server_that_signs_in_all_day_is_none(scene, source):
    for n in range(40):
        login(scene, f"2026-06-08 02:{n:02d}:00", "success", source)
    assert not scene.story().entry_candidates


def test_guesses_that_never_came_in_are_none(scene):
    guessed(scene)
    story = scene.story()
    assert not story.entry_candidates and not story.compromised_hosts


def test_a_job_that_the_database_runs_each_night_is_none(scene):
    for day in range(1, 8):
        shell(scene, f"2026-06-0{day} 03:00:30", "D:\\jobs\\export.cmd")
    story = scene.story()
    assert not story.entry_candidates and not story.compromised_hosts


def test_a_step_from_inside_to_a_database_does_not_outrank_how_they_came_in(scene):
    scene.vpn_failure("2026-06-08 01:00:00", "t.mori", OUTSIDE)
    for n in range(20):
        scene.vpn_failure(f"2026-06-08 01:{n:02d}:10", "t.mori", OUTSIDE)
    scene.vpn("2026-06-08 01:30:00", "t.mori", OUTSIDE, "10.9.9.9")
    scene.rdp("SRV1", "2026-06-08 01:35:00", "t.mori", "10.9.9.9")
    scene.dump("SRV1", "2026-06-08 01:45:00", "t.mori", logon_id="0x1234")
    shell(scene, "2026-06-08 03:00:30")
    assert first(scene.story())[0] == "vpn_credential"


# ---------------------------------------------------------------------------------------------- disc images


@pytest.mark.parametrize("command", [
    '"C:\\Windows\\System32\\rundll32.exe" E:\\docs\\scan.dat,StartW', "rundll32.exe C:\\ProgramData\\a\\x.tmp,Main",
    "rundll32 F:\\x.dll,Go", "regsvr32 /s E:\\a.dll", "regsvr32.exe /s C:\\ProgramData\\x.jpg",
])
def test_a_library_under_another_name_or_on_a_mounted_drive_is_odd(command):
    assert program_signal(command.split()[0], command, "C:\\Windows\\explorer.exe") == "script_host"


@pytest.mark.parametrize("command", [
    "rundll32.exe shell32.dll,Control_RunDLL", "rundll32.exe C:\\Windows\\System32\\zipfldr.dll,RouteTheCall",
    "rundll32 printui.dll,PrintUIEntry /in /n \\\\srv\\p", "rundll32.exe /d acproxy.dll,PerformAutochkOperations",
    "regsvr32 /s C:\\Windows\\System32\\x.dll", 'regsvr32 /i:5.1 /s "C:\\a b\\x.dll"', "rundll32.exe advapi32.dll,ProcessIdleTasks",
    'rundll32.exe "C:\\Program Files (x86)\\v1.2\\Tools\\x.dll",Run a.txt,b', "rundll32.exe -localserver 22d8c27b-47a1-48d1-ad08",
    "rundll32.exe " + "x" * 100_000,
])
def test_everyday_libraries_are_not(command):
    assert program_signal(command.split()[0], command, "C:\\Windows\\explorer.exe") != "script_host"


# ---------------------------------------------------------------------------------------------- border logs alone


def traffic(scene, time, port, ip="10.0.0.77", client="10.9.9.9", action="accept"):
    scene.line("firewall.log", time, **{"event.dataset": "fortinet.traffic", "event.category": "network", "event.action": action,
                                        "source.ip": client, "destination.ip": ip, "destination.port": port})


def vpn(scene):
    for n in range(20):
        scene.vpn_failure(f"2026-06-08 01:{n:02d}:10", "t.mori", OUTSIDE)
    scene.vpn("2026-06-08 01:30:00", "t.mori", OUTSIDE, "10.9.9.9", until="2026-06-08 03:00:00")


def test_the_firewall_names_the_machine_a_session_worked_on(scene):
    vpn(scene)
    traffic(scene, "2026-06-08 01:31:00", 53, "10.0.0.53")
    traffic(scene, "2026-06-08 01:33:00", 3389)
    traffic(scene, "2026-06-08 01:50:00", 3389, "10.0.0.78")
    best = scene.story().entry_candidates[0]
    assert (best.kind, best.source, best.host) == ("vpn_credential", OUTSIDE, "10.0.0.77")
    assert any(r.path == "firewall.log" for r in best.records)


@pytest.mark.parametrize("more", [
    {"time": "2026-06-08 01:33:00", "port": 443}, {"time": "2026-06-08 05:33:00", "port": 3389},
    {"time": "2026-06-08 01:33:00", "port": 3389, "client": "10.9.9.10"}, {"time": "2026-06-08 01:33:00", "port": 3389, "ip": "198.51.100.3"},
    {"time": "2026-06-08 01:33:00", "port": 3389, "action": "deny"},
])
def test_other_traffic_names_none(scene, more):
    vpn(scene)
    traffic(scene, **more)
    assert scene.story().entry_candidates[0].host is None
