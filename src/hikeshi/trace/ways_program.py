"""Ways in that are programs: opened mail, remote access tools, a supplier's updater."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hikeshi.trace.identity import host_name
from hikeshi.trace.infection import NOBODY, Infection
from hikeshi.trace.network import public
from hikeshi.trace.programs import ODD_FOLDER, REMOTE_TOOL, file_name, installed_program
from hikeshi.trace.rows import DAY, HOUR, MINUTE
from hikeshi.trace.spread import Mark
from hikeshi.trace.way import Way

_FOLLOWING = frozenset(("download", "encoded_command", "script_host", "dropped_program"))
_AFTER = 12 * HOUR
_TOOL_SHELL = "remote_tool_child"


def mail_ways(infection: Infection) -> list[Way]:
    """Office documents that started commands, and scripts somebody opened after a file came by mail."""
    ways = []
    for host, marks in sorted(infection.marks_of.items()):
        opened = [m for m in marks if m.name == "office_child"]
        if opened:
            first = opened[0]
            way = Way("mail_attachment", first.time, None, _person(first), host, rows={m.row for m in opened[:5]})
            program = file_name(infection.rows.text("actor", first.row))
            way.plus(4, f"{program}からコマンドが起動しました", f"{program} started a command")
            after = {m.name for m in marks if first.time <= m.time <= first.time + 10 * MINUTE} - {"office_child"}
            if after & _FOLLOWING:
                way.plus(1, "その直後に別の不審な操作が続きました", "other suspicious work followed at once")
            ways.append(way)
            continue
        way_or_none = _opened_script(infection, host, marks)
        if way_or_none is not None:
            ways.append(way_or_none)
    return ways


def _opened_script(infection: Infection, host: str, marks: list[Mark]) -> Way | None:
    """Explorer started a script or an address outside: somebody opened a shortcut or a script file."""
    rows = infection.rows
    for mark in marks:
        by_person = file_name(rows.text("actor", mark.row)) in ("explorer.exe", "outlook.exe")
        if mark.name not in _FOLLOWING - {"dropped_program"} or not by_person:
            continue
        way = Way("mail_attachment", mark.time, None, _person(mark), host, rows={mark.row})
        program = file_name(rows.text("object", mark.row))
        way.plus(2, f"利用者が開いたファイルから{program}が起動しました", f"a file somebody opened started {program}")
        saved = [m for m in marks if m.name == "mail_file" and mark.time - HOUR <= m.time <= mark.time + MINUTE]
        if saved:
            way.plus(
                3, "その前にメールの添付ファイルが保存されました", "a file that came by mail was saved just before"
            )
            way.rows.update(m.row for m in saved[:3])
        else:
            way.minus(0, "メールの記録はありません", "there is no record of a mail")
        later = {m.name for m in marks if mark.time < m.time <= mark.time + 10 * MINUTE and m.weight >= 2}
        if later:
            way.plus(1, "その直後に別の不審な操作が続きました", "other suspicious work followed at once")
        return way
    return None


def _person(mark: Mark) -> str | None:
    return None if mark.account in NOBODY or mark.account.endswith("$") else mark.account


def tool_ways(infection: Infection) -> list[Way]:
    """Remote access tools through which somebody outside worked: by the tool's own log, or by what it started."""
    rows = infection.rows
    calls: dict[str, list[int]] = defaultdict(list)
    for row in rows.of("tool_session").tolist():
        calls[host_name(rows.text("host", row))].append(row)
    ways = []
    for host in sorted({*calls, *(m.host for m in infection.marks if m.name in ("remote_tool", _TOOL_SHELL))}):
        if host:
            ways += _tool_way(infection, host, calls.get(host, []))
    return ways


def _tool_way(infection: Infection, host: str, calls: list[int]) -> list[Way]:
    rows = infection.rows
    marks = infection.marks_of.get(host, [])
    # Other marks of the same kind may be routine: only what is left is looked at.
    shells = [m for m in marks if m.name == _TOOL_SHELL]
    days: dict[str, set[int]] = defaultdict(set)
    for row in calls:
        days[rows.text("source", row)].add(int(rows.time[row]) // DAY)
    odd = [r for r in calls if public(rows.text("source", r)) and len(days[rows.text("source", r)]) < 3]
    starts = [m for m in marks if m.name == "remote_tool"]
    if not odd and not shells and not any(_odd_start(infection, m) for m in starts):
        return []
    times = [int(rows.time[r]) for r in odd] + [m.time for m in shells] + [
        m.time for m in starts if _odd_start(infection, m)
    ]  # fmt: skip
    first = min(times)
    begun = [m for m in starts if first - 30 * MINUTE <= m.time <= first]
    way = Way("remote_tool", min([first, *(m.time for m in begun)]), None, None, host)
    near = [r for r in odd if abs(int(rows.time[r]) - first) <= 2 * HOUR]
    if near:
        way.source = rows.text("source", near[0])
        way.plus(
            2,
            f"{rows.text('object', near[0])}に、外部の{way.source}から接続がありました",
            f"{rows.text('object', near[0])} was reached from outside: {way.source}",
        )
        way.rows.update(near[:5])
    if begun:
        way.account = next((p for m in begun if (p := _person(m))), None)
        way.rows.update(m.row for m in begun[:5])
        if any(ODD_FOLDER.search(rows.text("object", m.row)) for m in begun):
            way.plus(
                2,
                "遠隔操作ソフトがダウンロード先から起動されました",
                "the tool was started from where it was downloaded to",
            )
    if shells:
        way.plus(2, "遠隔操作ソフトからコマンドが起動しました", "the tool started commands")
        way.rows.update(m.row for m in shells[:5])
    strong = [m for m in marks if way.time <= m.time <= way.time + _AFTER and m.weight >= 2]
    names = {m.name for m in strong} - {"remote_tool", _TOOL_SHELL}
    if names:
        way.plus(
            3 if any(m.weight >= 3 for m in strong) else 2,
            f"そのあと{host}に攻撃の跡があります",
            f"traces of an attack on {host} follow",
        )
        way.rows.update(m.row for m in strong[:3])
    return [way]


def _odd_start(infection: Infection, mark: Mark) -> bool:
    """A tool in a user's folder; an installed one is business until something else speaks against it."""
    path = infection.rows.text("object", mark.row)
    return bool(ODD_FOLDER.search(path)) and bool(REMOTE_TOOL.search(path)) and _person(mark) is not None


def supplier_ways(infection: Infection) -> list[Way]:
    """An installed product's own program that starts hidden commands: its update was the attacker's."""
    by_program: dict[str, list[Mark]] = defaultdict(list)
    for mark in infection.marks:
        if mark.name == "vendor_child":
            by_program[infection.rows.text("actor", mark.row).lower()].append(mark)
    ways = []
    for path, marks in sorted(by_program.items()):
        marks.sort(key=lambda m: (m.time, m.host))
        first = marks[0]
        hosts = list(dict.fromkeys(m.host for m in marks if m.time <= first.time + 6 * HOUR))
        way = Way("supplier", first.time, None, None, first.host, name=path, rows={m.row for m in marks[:10]})
        way.plus(
            3,
            f"製品のプログラム{file_name(path)}が隠されたコマンドを起動しました",
            f"{file_name(path)}, a product's own program, started hidden commands",
        )
        _on_many(way, hosts)
        followed = _strong_after(infection, hosts, first.time)
        if followed:
            way.plus(
                2,
                f"そのあと{followed[0].host}に攻撃の跡があります",
                f"traces of an attack follow on {followed[0].host}",
            )
            way.rows.update(m.row for m in followed[:3])
        ways.append(way)
    return ways


def agent_ways(infection: Infection) -> list[Way]:
    """A product's own program that switches defences off, with hidden commands from the same shell at once: whoever
    manages these machines was taken over. Defences switched off alone are another protection being installed."""
    rows = infection.rows
    by_program: dict[str, list[tuple[Mark, list[Mark]]]] = defaultdict(list)
    for _, marks in sorted(infection.marks_of.items()):
        for mark in marks:
            program = rows.text("actor", mark.row)
            if mark.name != "defence_off" or not installed_program(program):
                continue
            follow = [m for m in marks if m.name in ("encoded_command", "download", "script_host")
                      and mark.time <= m.time <= mark.time + MINUTE and m.account == mark.account
                      and file_name(rows.text("actor", m.row)) == file_name(rows.text("object", mark.row))]
            if follow:
                by_program[program.lower()].append((mark, follow))
    ways = []
    for path, found in sorted(by_program.items()):
        found.sort(key=lambda f: (f[0].time, f[0].host))
        first = found[0][0]
        hosts = list(dict.fromkeys(m.host for m, _ in found if m.time <= first.time + 6 * HOUR))
        way = Way("supplier", first.time, None, None, first.host, name=path,
                  rows={m.row for m, _ in found[:10]} | {f.row for _, follow in found[:10] for f in follow})
        way.plus(
            4,
            f"製品のプログラム{file_name(path)}が防御機能を止め、続けて隠されたコマンドを起動しました",
            f"{file_name(path)}, a product's own program, switched defences off and started hidden commands at once",
        )
        _on_many(way, hosts)
        ways.append(way)
    return ways


def _on_many(way: Way, hosts: list[str]) -> None:
    if len(hosts) > 1:
        way.plus(
            2,
            f"同じころ{len(hosts)}台({'、'.join(hosts[:3])})で起きました",
            f"on {len(hosts)} machines at the same time: {', '.join(hosts[:3])}",
        )


def _strong_after(infection: Infection, hosts: Iterable[str], since: int) -> list[Mark]:
    return [
        m
        for h in hosts
        for m in infection.marks_of.get(h, ())
        if m.weight >= 3 and since <= m.time <= since + _AFTER and m.name != "vendor_child"
    ]


def vendor_marks(infection: Infection, way: Way) -> list[Mark]:
    """The marks of a supplier's way, one a machine."""
    out: dict[str, Mark] = {}
    for mark in infection.marks:
        by_it = infection.rows.text("actor", mark.row).lower() == way.name
        same = by_it and mark.name in ("vendor_child", "defence_off")
        if same and mark.time <= way.time + DAY:
            out.setdefault(mark.host, mark)
    return list(out.values())
