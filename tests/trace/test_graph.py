"""Ranks and unusual hours of the logon graph."""

from __future__ import annotations

import numpy as np

from hikeshi.trace.graph import pagerank


def test_the_middle_of_a_star_ranks_first_and_ranks_sum_to_one():
    ends = np.array([0, 0, 0, 1, 2, 3], dtype=np.int64)
    others = np.array([1, 2, 3, 0, 0, 0], dtype=np.int64)
    rank = pagerank(ends, others, np.ones(6), 5)
    assert rank.argmax() == 0 and abs(rank.sum() - 1) < 1e-6
    assert rank[4] == 0  # a node without ties


def test_no_ties_give_no_rank():
    nothing = np.empty(0, dtype=np.int64)
    assert pagerank(nothing, nothing, np.empty(0), 3).tolist() == [0, 0, 0]


def test_the_server_everybody_uses_ranks_before_a_client_and_held_ones_are_marked(scene):
    for day in range(1, 8):
        for number in range(1, 7):
            scene.logon("SRV1", f"2026-06-0{day} 09:0{number}:00", f"user{number}", f"PC{1 + number % 3}")
    scene.rdp("SRV2", "2026-06-07 01:00:00", "adm", "203.0.113.7", logon_id="0x9")
    scene.dump("SRV2", "2026-06-07 01:10:00", "adm", logon_id="0x9")
    story = scene.story()
    machines = [r for r in story.ranking if r.kind == "host"]
    assert machines[0].name == "SRV1" and machines[0].partners == 6 and machines[0].records
    assert {r.name for r in story.ranking if r.held} == {"SRV2", "adm"}


def test_an_hour_in_which_an_account_meets_many_machines_stands_out_and_working_hours_do_not(scene):
    for day in range(1, 8):
        for number in range(1, 7):
            scene.logon("SRV1", f"2026-06-0{day} 09:{number:02d}:00", f"user{number}", "PC1")
    for number in range(9):
        scene.logon(f"SRV{number + 20}", f"2026-06-07 02:{number:02d}:00", "adm", "PC2")
    unusual = scene.story().unusual
    assert [u.time for u in unusual] == ["2026-06-07T02:00:00Z"]
    assert unusual[0].new_ties == 9 and unusual[0].accounts[0] == "adm"
