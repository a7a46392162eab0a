"""Cleared logs, silent logs, wrong clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)


def fill(scene, host, hours, *, silent=range(0), per_hour=6):
    for hour in range(hours):
        if hour in silent:
            continue
        for number in range(per_hour):
            time = BEGIN + timedelta(hours=hour, minutes=number * 9)
            scene.windows(host, f"{time:%Y-%m-%d %H:%M:%S}", 5379, TargetName="x")


def test_a_cleared_log_is_a_gap_with_its_record(scene):
    scene.windows("SRV1", "2026-06-03 04:00:00", 1102, SubjectUserName="adm")
    scene.windows("SRV1", "2026-06-03 04:00:02", 104, "System", SubjectUserName="adm", Channel="System")
    gaps = scene.story().log_gaps
    assert [(g.host, g.log, g.kind) for g in gaps] == [("SRV1", "Security", "cleared"), ("SRV1", "System", "cleared")]
    assert all(g.records for g in gaps)


def test_silence_of_a_log_that_writes_every_hour_is_a_gap(scene):
    fill(scene, "SRV2", 96, silent=range(50, 57))
    (gap,) = scene.story().log_gaps
    assert (gap.host, gap.kind) == ("SRV2", "silence")
    assert gap.first < "2026-06-03T02:59:59Z" < gap.last


def test_a_clients_nights_are_no_gap(scene):
    nights = [h for h in range(96) if not 8 <= h % 24 < 18]
    fill(scene, "PC1", 96, silent=nights)
    assert not scene.story().log_gaps


def test_a_machine_that_was_switched_off_is_no_gap(scene):
    fill(scene, "SRV2", 96, silent=range(50, 57))
    scene.windows("SRV2", "2026-06-03 01:58:00", 1074, "System")
    scene.windows("SRV2", "2026-06-03 09:00:00", 6005, "System")
    assert not scene.story().log_gaps


def logon_pairs(scene, late_s):
    """JUMP1 signs on to three servers; SRV2's clock is `late_s` ahead."""
    for number, (server, off) in enumerate((("SRV1", 0), ("SRV2", late_s), ("DC1", 0)) * 3):
        time = BEGIN + timedelta(hours=number)
        scene.explicit("JUMP1", server, f"{time:%Y-%m-%d %H:%M:%S}", "adm", "adm", "C:\\Windows\\System32\\mstsc.exe")
        there = time + timedelta(seconds=2 + off)
        scene.logon(server, f"{there:%Y-%m-%d %H:%M:%S}", "adm", "JUMP1")


def test_both_ends_of_the_same_logons_show_a_wrong_clock(scene):
    logon_pairs(scene, 270)
    (offset,) = scene.story().clock_offsets
    assert (offset.host, offset.seconds) == ("SRV2", -270)
    assert offset.records


def test_clocks_that_agree_within_seconds_are_left_alone(scene):
    logon_pairs(scene, 3)
    assert not scene.story().clock_offsets


def test_a_note_about_a_clock_is_taken_over(scene):
    fill(scene, "SRV2", 3)
    for note in (
        "SRV2 の時計は実際の時刻より 4 分 30 秒進んでいました。",
        "The clock of SRV2 runs 4 minutes 30 seconds fast.",
    ):
        assert [(o.host, o.seconds) for o in scene.story_of(note)] == [("SRV2", -270)]
    assert not scene.story_of("SRV2 の時計は正しい。次の会議は 15 分後。")


def test_times_are_corrected_before_steps_are_joined(scene):
    logon_pairs(scene, -600)
    scene.rdp("SRV1", "2026-06-02 01:00:00", "ops", "203.0.113.9", "0xf0")
    scene.dump("SRV1", "2026-06-02 01:10:00", "ops", "0xf0")
    scene.rdp("SRV2", "2026-06-02 01:05:00", "ops", "SRV1")  # 01:15 by the others' clocks
    (edge,) = [s for s in scene.story().spread if s.destination == "SRV2"]
    assert edge.time == "2026-06-02T01:15:00Z"


def test_a_clients_weekend_is_no_gap(scene):
    closed = [h for h in range(24 * 9) if not (8 <= h % 24 < 18 and h // 24 not in (4, 5))]
    fill(scene, "PC1", 24 * 9, silent=closed)
    assert not scene.story().log_gaps


def test_recovered_records_of_a_cleared_log_are_counted_and_told(scene):
    for second, mark in ((1, "slack"), (2, "slack"), (3, "damaged")):
        scene.windows("SRV1", f"2026-06-02 23:00:0{second}", 4688, **{"hikeshi.recovered": mark})
    scene.windows("SRV1", "2026-06-03 04:00:00", 1102, SubjectUserName="adm")
    scene.windows("SRV1", "2026-06-03 05:00:00", 4688, **{"hikeshi.recovered": "slack"})
    story = scene.story()
    (gap,) = story.log_gaps
    assert gap.recovered == 3
    (told,) = [t for t in story.timeline if "cleared" in t.en]
    assert "recovered from slack and damage: 3" in told.en and "3件を復元しました" in told.ja


def test_recovered_records_do_not_hide_a_silence(scene):
    fill(scene, "SRV2", 96, silent=range(50, 57))
    for hour in range(50, 57):
        time = BEGIN + timedelta(hours=hour, minutes=30)
        scene.windows("SRV2", f"{time:%Y-%m-%d %H:%M:%S}", 5379, **{"hikeshi.recovered": "slack"})
    (gap,) = scene.story().log_gaps
    assert (gap.host, gap.kind, gap.recovered) == ("SRV2", "silence", 7)
