"""Ways in, and what only looks like one."""

from __future__ import annotations


def kinds(story):
    return [(c.kind, c.source, c.account) for c in story.entry_candidates]


def usual_vpn(scene, account="t.mori", source="192.0.2.50"):
    for day in range(1, 8):
        scene.vpn(f"2026-06-0{day} 09:10:00", account, source, "10.212.134.9", f"2026-06-0{day} 17:00:00")


def test_only_a_vpn_log_is_enough_for_a_candidate_and_its_account(scene):
    usual_vpn(scene)
    for second in range(10, 40, 2):
        scene.vpn_failure(f"2026-06-08 01:00:{second}", "t.mori", "203.0.113.7")
    scene.vpn("2026-06-08 01:02:00", "t.mori", "203.0.113.7", "10.212.134.20")
    story = scene.story()
    assert kinds(story) == [("vpn_credential", "203.0.113.7", "t.mori")]
    assert story.entry_candidates[0].host is None
    assert [a.name for a in story.compromised_accounts] == ["t.mori"]
    assert [b.value for b in story.block_list] == ["203.0.113.7"]


def test_typing_errors_before_the_usual_logon_are_no_way_in(scene):
    usual_vpn(scene)
    scene.vpn_failure("2026-06-08 09:09:30", "t.mori", "192.0.2.50")
    scene.vpn_failure("2026-06-08 09:09:45", "t.mori", "192.0.2.50")
    scene.vpn("2026-06-08 09:10:00", "t.mori", "192.0.2.50", "10.212.134.9")
    story = scene.story()
    assert not story.entry_candidates and not story.compromised_accounts
    assert any("t.mori" in r.subject for r in story.explained)


def test_internet_noise_on_the_vpn_is_counted_and_explained(scene):
    usual_vpn(scene)
    for number in range(40):
        scene.vpn_failure(f"2026-06-05 03:{number:02d}:00", f"user{number}", f"198.51.100.{number}")
    story = scene.story()
    assert not story.entry_candidates
    (remark,) = [r for r in story.explained if r.subject == "VPN"]
    assert "40 sources" in remark.reason.en


def test_a_travellers_new_address_alone_is_not_enough(scene):
    usual_vpn(scene)
    scene.vpn("2026-06-08 10:00:00", "t.mori", "203.0.113.80", "10.212.134.20")
    assert not scene.story().entry_candidates


def test_one_source_that_tried_many_accounts_and_got_one_is_a_way_in(scene):
    usual_vpn(scene)
    for number in range(12):
        scene.vpn_failure(f"2026-06-08 01:{number:02d}:00", f"user{number}", "203.0.113.7")
    for second in range(6):
        scene.vpn_failure(f"2026-06-08 01:20:0{second}", "t.mori", "203.0.113.7")
    scene.vpn("2026-06-08 01:21:00", "t.mori", "203.0.113.7", "10.212.134.20")
    best = scene.story().entry_candidates[0]
    assert any("other accounts" in r.en for r in best.reasons)


def test_guessed_remote_desktop_from_the_internet_is_brute_force(scene):
    for second in range(10, 50):
        scene.windows(
            "SRV1",
            f"2026-06-08 02:00:{second}",
            4625,
            TargetUserName="administrator",
            IpAddress="203.0.113.5",
            LogonType="3",
            SubStatus="0xc000006a",
        )
    scene.rdp("SRV1", "2026-06-08 02:05:00", "administrator", "203.0.113.5")
    story = scene.story()
    assert kinds(story) == [("brute_force", "203.0.113.5", "administrator")]
    assert [h.name for h in story.compromised_hosts] == ["SRV1"]


def test_failures_without_a_success_are_no_way_in(scene):
    for second in range(10, 50):
        scene.windows(
            "SRV1",
            f"2026-06-08 02:00:{second}",
            4625,
            TargetUserName="administrator",
            IpAddress="203.0.113.5",
            LogonType="3",
            SubStatus="0xc000006a",
        )
    story = scene.story()
    assert not story.entry_candidates and not story.compromised_hosts


WORKER = "C:\\Windows\\System32\\inetsrv\\w3wp.exe"


def web_shell(scene, *, commands=True):
    for day in range(1, 8):
        for hour in range(9, 18):
            scene.web(f"2026-06-0{day} {hour:02d}:00:00", f"192.0.2.{hour}", "GET", "/login.aspx", 200)
    for second in range(10, 50):
        scene.web(f"2026-06-08 01:00:{second}", "203.0.113.9", "GET", f"/probe{second}", 404)
    scene.web("2026-06-08 01:04:40", "203.0.113.9", "POST", "/upload.ashx", 200)
    for minute in range(5, 25):
        scene.web(f"2026-06-08 01:{minute:02d}:00", "203.0.113.9", "POST", "/img/a.aspx", 200)
    if commands:
        scene.program(
            "SRV1", "2026-06-08 01:06:01", "DefaultAppPool", "C:\\Windows\\System32\\cmd.exe", "cmd /c whoami", WORKER
        )


def test_a_web_shell_is_told_by_its_lone_user_and_the_commands_it_starts(scene):
    web_shell(scene)
    story = scene.story()
    best = story.entry_candidates[0]
    assert (best.kind, best.source, best.host, best.confidence) == ("web_shell", "203.0.113.9", "SRV1", "high")
    assert best.time == "2026-06-08T01:04:40Z"  # the upload, not the first command
    assert [(p.kind, p.name) for p in story.persistence] == [("web_shell", "a.aspx")]
    assert "203.0.113.9" in {b.value for b in story.block_list}


def test_a_partners_regular_posts_are_no_web_shell(scene):
    for day in range(1, 8):
        for hour in range(24):
            scene.web(f"2026-06-0{day} {hour:02d}:15:00", "203.0.113.201", "POST", "/api/stock.aspx", 200)
    story = scene.story()
    assert not story.entry_candidates and not story.compromised_hosts


def test_a_compiler_started_by_the_web_server_is_no_sign(scene):
    scene.program(
        "SRV1",
        "2026-06-08 01:06:01",
        "DefaultAppPool",
        "C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\csc.exe",
        "csc.exe /noconfig @x.cmdline",
        WORKER,
    )
    assert not scene.story().compromised_hosts


EXCEL = "C:\\Program Files\\Microsoft Office\\root\\Office16\\EXCEL.EXE"


def test_an_attachment_that_starts_a_script_is_the_way_in(scene):
    scene.program(
        "PC1",
        "2026-06-08 10:00:00",
        "y.mori",
        "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
        "powershell -w hidden -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACkA",
        EXCEL,
    )
    story = scene.story()
    assert [(c.kind, c.host, c.account) for c in story.entry_candidates] == [("mail_attachment", "PC1", "y.mori")]
    assert [a.name for a in story.compromised_accounts] == ["y.mori"]


def test_excel_that_prints_is_no_attachment_attack(scene):
    scene.program("PC1", "2026-06-08 10:00:00", "y.mori", "C:\\Windows\\splwow64.exe", "splwow64.exe 8192", EXCEL)
    story = scene.story()
    assert not story.entry_candidates and not story.compromised_hosts


def test_no_evidence_gives_an_empty_story(scene):
    from hikeshi.model.case import Story
    from hikeshi.trace import build_story

    assert build_story([]) == Story()


def test_two_typing_errors_of_a_traveller_are_no_brute_force(scene):
    usual_vpn(scene)
    scene.vpn_failure("2026-06-08 09:59:00", "t.mori", "203.0.113.80")
    scene.vpn_failure("2026-06-08 09:59:30", "t.mori", "203.0.113.80")
    scene.vpn("2026-06-08 10:00:00", "t.mori", "203.0.113.80", "10.212.134.20")
    assert not scene.story().entry_candidates


def test_a_new_page_that_several_visitors_use_is_no_web_shell(scene):
    web_shell(scene)
    for minute in range(5, 25):
        for visitor in ("192.0.2.60", "192.0.2.61", "192.0.2.62"):
            scene.web(f"2026-06-08 01:{minute:02d}:30", visitor, "POST", "/survey.aspx", 200)
    story = scene.story()
    assert [p.name for p in story.persistence] == ["a.aspx"]
    assert len(story.entry_candidates) == 1


def test_an_apache_log_alone_shows_a_web_shell_as_a_possibility(scene):
    def hit(time, client, method, path, status):
        scene.line(
            "apache.log",
            time,
            **{
                "event.dataset": "web.access",
                "source.ip": client,
                "url.full": path,
                "http.request.method": method,
                "http.response.status_code": status,
            },
        )

    for day in range(1, 8):
        hit(f"2026-06-0{day} 10:00:00", "192.0.2.9", "GET", "/index.php", 200)
    for second in range(10, 50):
        hit(f"2026-06-08 01:00:{second}", "203.0.113.9", "GET", f"/probe{second}", 404)
    for minute in range(5, 25):
        hit(f"2026-06-08 01:{minute:02d}:00", "203.0.113.9", "POST", "/uploads/a.php?c=id", 200)
    story = scene.story()
    assert [(c.kind, c.source, c.confidence) for c in story.entry_candidates] == [("web_shell", "203.0.113.9", "low")]
    assert not story.compromised_hosts
