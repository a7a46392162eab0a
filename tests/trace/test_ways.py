"""Ways in beside VPN, web and mail: suppliers, border devices, remote tools, maintenance; and their near misses."""

from __future__ import annotations

TOOL = "C:\\Users\\t.mori\\Downloads\\AnyDesk.exe"
UPDATER = "C:\\Program Files\\Vendor\\update.exe"
POWERSHELL = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
HIDDEN = "powershell -w hidden -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACkA"


def first(story):
    return (story.entry_candidates[0].kind, story.entry_candidates[0].source, story.entry_candidates[0].host)


def hosts(story):
    return [h.name for h in story.compromised_hosts]


def anydesk(scene, host, time, source):
    scene.line(
        f"{host}/ad_svc.trace",
        time,
        **{"event.dataset": "anydesk.trace", "event.action": "remote-address", "source.ip": source},
    )


def test_a_tool_started_from_downloads_and_reached_from_outside_is_the_way_in(scene):
    scene.program("PC1", "2026-06-08 14:00:00", "t.mori", TOOL, f'"{TOOL}"')
    anydesk(scene, "PC1", "2026-06-08 14:01:00", "203.0.113.7")
    scene.dump("PC1", "2026-06-08 14:20:00", "t.mori", logon_id="0x9")
    story = scene.story()
    assert first(story) == ("remote_tool", "203.0.113.7", "PC1") and hosts(story) == ["PC1"]
    assert story.entry_candidates[0].account == "t.mori"


def test_the_help_desks_tool_that_is_used_every_day_is_no_way_in(scene):
    for day in range(1, 8):
        anydesk(scene, "PC1", f"2026-06-0{day} 14:01:00", "203.0.113.7")
    story = scene.story()
    assert not story.entry_candidates and not story.compromised_hosts


def test_an_updater_that_starts_hidden_commands_on_two_machines_is_a_suppliers(scene):
    for number, host in enumerate(("PC1", "PC2")):
        scene.program(host, f"2026-06-08 14:0{number}:00", "SYSTEM", POWERSHELL, HIDDEN, UPDATER, logon_id="0x3e7")
    story = scene.story()
    assert first(story) == ("supplier", None, "PC1") and hosts(story) == ["PC1", "PC2"]


def test_an_updater_that_starts_its_installer_is_none(scene):
    for host in ("PC1", "PC2"):
        scene.program(host, "2026-06-08 14:00:00", "SYSTEM", "C:\\Windows\\System32\\cmd.exe", "cmd /c setup.exe /quiet",
                      UPDATER, logon_id="0x3e7")  # fmt: skip
    assert not scene.story().entry_candidates


def test_one_machine_with_a_hidden_command_alone_is_a_candidate_and_not_held(scene):
    scene.program("PC1", "2026-06-08 14:00:00", "SYSTEM", POWERSHELL, HIDDEN, UPDATER, logon_id="0x3e7")
    story = scene.story()
    assert first(story)[0] == "supplier" and not story.compromised_hosts


def device(scene, time, action, **cells):
    base = {"event.dataset": "fortinet.event", "observer.name": "FW1", "event.action": action, "action": action}
    scene.line("firewall.log", time, **base, **cells)


def test_a_firewall_taken_over_explains_logons_from_an_address_that_is_no_machine(scene):
    device(scene, "2026-06-08 01:00:00", "Add", logdesc="Object attribute configured", cfgpath="system.admin",
           cfgobj="fsync", ui="jsconsole(127.0.0.1)")  # fmt: skip
    device(scene, "2026-06-08 01:01:00", "login", logdesc="Admin login successful", status="success",
           **{"user.name": "fsync", "source.ip": "203.0.113.7"})  # fmt: skip
    scene.rdp("SRV1", "2026-06-08 01:30:00", "adm", "10.9.9.1", logon_id="0x9")
    scene.dump("SRV1", "2026-06-08 01:40:00", "adm", logon_id="0x9")
    story = scene.story()
    assert first(story) == ("vulnerability", "203.0.113.7", "SRV1") and hosts(story) == ["SRV1"]


def test_an_administrator_who_signs_in_to_the_firewall_from_inside_is_none(scene):
    device(scene, "2026-06-08 01:01:00", "login", logdesc="Admin login successful", status="success",
           **{"user.name": "admin", "source.ip": "10.1.0.41"})  # fmt: skip
    assert not scene.story().entry_candidates


def test_an_attackers_name_for_his_machine_is_no_machine_of_ours(scene):
    scene.windows("SRV1", "2026-06-08 01:00:00", 4624, TargetUserName="adm", LogonType="3", IpAddress="10.77.0.9",
                  WorkstationName="KALI", TargetLogonId="0x9")  # fmt: skip
    scene.program("SRV1", "2026-06-08 01:00:01", "adm", "C:\\Windows\\System32\\cmd.exe",
                  "cmd.exe /Q /c whoami 1> \\\\127.0.0.1\\ADMIN$\\__1 2>&1",
                  "C:\\Windows\\System32\\wbem\\WmiPrvSE.exe", logon_id="0x9")  # fmt: skip
    story = scene.story()
    assert hosts(story) == ["SRV1"] and first(story) == ("unknown", "10.77.0.9", "SRV1")
    assert any("KALI" in r.en for r in story.entry_candidates[0].reasons)
    assert any(u.log == "VPN / DHCP / NAC" for u in story.unknowns)


def test_a_machine_of_ours_that_only_claims_its_name_keeps_it(scene):
    scene.windows("SRV1", "2026-06-08 01:00:00", 4624, TargetUserName="adm", LogonType="3", IpAddress="10.1.9.77",
                  WorkstationName="PC77", TargetLogonId="0x9")  # fmt: skip
    scene.program("SRV1", "2026-06-08 01:00:01", "adm", "C:\\Windows\\System32\\cmd.exe",
                  "cmd.exe /Q /c whoami 1> \\\\127.0.0.1\\ADMIN$\\__1 2>&1",
                  "C:\\Windows\\System32\\wbem\\WmiPrvSE.exe", logon_id="0x9")  # fmt: skip
    assert [(s.source, s.method) for s in scene.story().spread] == [("PC77", "wmi")]


def test_a_policy_changed_by_a_held_account_carries_the_spread(scene):
    scene.rdp("DC1", "2026-06-08 01:00:00", "adm", "203.0.113.7", logon_id="0x9")
    scene.dump("DC1", "2026-06-08 01:10:00", "adm", logon_id="0x9")
    scene.windows("DC1", "2026-06-08 01:20:00", 5136, SubjectUserName="adm", ObjectClass="groupPolicyContainer",
                  ObjectDN="CN={7F},CN=POLICIES")  # fmt: skip
    for number, host in enumerate(("SRV1", "SRV2", "PC1")):
        scene.windows(host, f"2026-06-08 01:3{number}:00", 4698, SubjectUserName=f"{host}$", TaskName="\\G",
                      TaskContent="cmd.exe /c \\\\corp.example\\SYSVOL\\x\\g.exe")  # fmt: skip
    story = scene.story()
    assert {(s.source, s.destination, s.account) for s in story.spread if s.method == "gpo"} == {
        ("DC1", "SRV1", "adm"), ("DC1", "SRV2", "adm"), ("DC1", "PC1", "adm")}  # fmt: skip
    assert set(hosts(story)) == {"DC1", "SRV1", "SRV2", "PC1"}


def test_a_policy_changed_by_an_administrator_carries_nothing(scene):
    scene.windows("DC1", "2026-06-08 01:20:00", 5136, SubjectUserName="adm", ObjectClass="groupPolicyContainer",
                  ObjectDN="CN={7F},CN=POLICIES")  # fmt: skip
    for host in ("SRV1", "SRV2", "PC1"):
        scene.windows(host, "2026-06-08 01:30:00", 4698, SubjectUserName=f"{host}$", TaskName="\\G",
                      TaskContent="cmd.exe /c \\\\corp.example\\SYSVOL\\x\\g.exe")  # fmt: skip
    assert not scene.story().spread


def test_machines_that_were_switched_off_by_force_on_a_hypervisor_show_the_attacker(scene):
    command = "esxcli vm process kill --type=force --world-id=21"
    scene.line("ESX1/shell.log", "2026-06-08 02:00:00", **{
        "event.dataset": "esxi", "host.name": "ESX1", "process.command_line": command, "user.name": "root"})  # fmt: skip
    scene.line("ESX2/shell.log", "2026-06-08 02:00:00", **{
        "event.dataset": "esxi", "host.name": "ESX2", "process.command_line": "esxcli vm process list",
        "user.name": "root"})  # fmt: skip
    assert hosts(scene.story()) == ["ESX1"]


def test_an_address_gets_its_name_where_both_ends_of_one_step_are_on_record(scene):
    scene.explicit("SRV9", "SRV2", "2026-06-08 01:00:00", "a.b", "adm")
    scene.logon("SRV2", "2026-06-08 01:00:01", "adm", "10.1.0.99", logon_id="0x9")
    scene.windows(
        "SRV2", "2026-06-08 01:00:02", 7045, "System", ServiceName="PSEXESVC", ImagePath="%SystemRoot%\\PSEXESVC.exe"
    )
    scene.dump("SRV2", "2026-06-08 01:00:30")
    assert {s.source for s in scene.story().spread} == {"SRV9"}
