"""The containment page for people on the night shift, and the same as text: what to load where, in which order,
what will break, how to undo. The report's own page shows it, in both languages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hikeshi.events.time import format_utc, from_datetime
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text, defang, plain
from hikeshi.model.tlp import Tlp
from hikeshi.report.footnotes import Footnotes
from hikeshi.report.html import render_html
from hikeshi.report.pieces import Answer, Block, Cell, Section
from hikeshi.report.view import View
from hikeshi.report.words import Language
from hikeshi.respond import words
from hikeshi.respond.blocklist import stopped
from hikeshi.respond.simulate import Scenario, Use
from hikeshi.respond.targets import CONTROLS
from hikeshi.respond.verify import Verification
from hikeshi.triage.contain import Containment

_OTHERS = Text("、".join(t.ja for t in words.PROTOCOLS.values()), ", ".join(t.en for t in words.PROTOCOLS.values()))
_ROWS = 200
_SHOWN = 12
# The order of work. Skipping a step needs a reason: `contain mark ... --as not_needed --note REASON`.
STEPS = (
    Text("全面遮断するかを、決める人の名前とともに決めます", "Decide on a full cut-off; write down who decided"),
    Text(
        "一覧の上から順に、機器をネットワークから切り離します(電源は切らない)",
        "Take the machines off the network, from the top (leave them switched on)",
    ),
    Text(
        "ファイアウォール、プロキシ、DNS、メールの順に遮断リストを入れます。まず1台で試します",
        "Load the block lists: firewall, proxy, DNS, mail; try one device first",
    ),
    Text("入れたら hikeshi contain mark で記録します", "Write each down with hikeshi contain mark"),
    Text(
        "切り離した後、感染していない端末からパスワードを変えます",
        "After isolation, change the passwords from a clean machine",
    ),
    Text(
        "1時間後と翌朝に hikeshi contain verify で抜け道を確かめます",
        "After an hour and next morning: hikeshi contain verify",
    ),
    Text(
        "止まったと確かめてから、被害範囲の調査、復旧の順に進みます",
        "Only when it holds go on: how far it went, then recovery",
    ),
)
MAIL = (
    *words.MAIL.values(),
    Text(
        f"Web以外の送信({_OTHERS.ja})も外向きに閉じているか確かめます",
        f"Check that other protocols are closed outward too: {_OTHERS.en}",
    ),
    Text("メールが止まっても届く連絡先を使います", "Use contacts that work without mail"),
)
VERDICT = {
    "failed": Text("通っています", "passes"),
    "verified": Text("止まっています", "stopped"),
    "quiet": Text("試行なし(未確認)", "no attempt yet: not proven"),
    "asked": Text("問い合わせあり(応答は不明)", "asked for; answer unknown"),
    "no_log": Text("ログなし(未確認)", "no log: not proven"),
}


def pages(told: Containment) -> dict[str, str]:
    """contain.html and contain.txt."""
    views = _Page(told, "ja").view(), _Page(told, "en").view()
    return {"contain.html": render_html(views), "contain.txt": "\n\n".join(as_text(v) for v in views)}


class _Page:
    def __init__(self, told: Containment, language: Language) -> None:
        self.told, self.language = told, language
        self.notes = Footnotes()

    def say(self, text: Text) -> str:
        return str(getattr(text, self.language))

    def both(self, ja: str, en: str) -> str:
        return ja if self.language == "ja" else en

    def when(self, iso: str | None) -> str:
        if not iso:
            return "–"
        return datetime.fromisoformat(iso).astimezone(self.told.plan.zone).strftime("%Y-%m-%d %H:%M")

    def cell(self, text: object, records: Sequence[Any] = (), *, mono: bool = False, mark: str = "") -> Cell:
        return Cell(plain(text), mono, tuple(self.notes.cite(tuple(records))), mark)

    def view(self) -> View:
        told = self.told
        sections = [
            self.order(),
            self.hosts(),
            self.targets(),
            self.devices(),
            self.held(),
            self.price(),
            self.accounts(),
            self.mail(),
        ]
        made = told.blocks.job.made_at
        subtitle = self.both(
            f"遮断リスト {told.blocks.job.id}・作成 {self.when(made.isoformat())} ({told.plan.zone_name})",
            f"Block list {told.blocks.job.id}, made {self.when(made.isoformat())} "
            f"({told.plan.zone_name}), {format_utc(from_datetime(made))[:16]}Z",
        )
        sections.append(self.records())
        return View(
            self.language,
            self.both("封じ込めの手順", "Containment"),
            subtitle,
            Tlp.AMBER.value,
            self.both("最初の答え", "First answers"),
            self.answers(),
            tuple(s for s in sections if s.blocks),
        )

    def answers(self) -> tuple[Answer, ...]:
        told, blocks = self.told, self.told.blocks
        hosts, held = told.isolation, blocks.sorted.held
        now = Answer(
            self.both("いま何をするか", "What to do now?"),
            self.both(
                f"{len(hosts)}台を切り離し、{len(blocks.sorted.block)}件を遮断します",
                f"Isolate {len(hosts)} machines, block {len(blocks.sorted.block)} destinations",
            ),
            "urgent" if hosts or blocks.sorted.block else "plain",
            tuple(Cell(self.say(s)) for s in STEPS),
            steps=True,
        )
        first = Answer(
            self.both("最初に切り離す機器", "Which machines first?"),
            ", ".join(plain(h.host) for h in hosts[:4]) or self.both("なし", "none"),
            "plain",
            tuple(self.cell(f"{h.host}: {self.say(h.reasons[0])}", h.records) for h in hosts[:_SHOWN]),
        )
        return (
            now,
            first,
            self._cost(),
            Answer(
                self.both("全面遮断", "Full cut-off?"),
                self.both(
                    "提案します。決める人が決めてください" if told.propose_cut_off else "提案しません",
                    "Proposed: the decider decides" if told.propose_cut_off else "Not proposed",
                ),
                "plain",
                (
                    *(Cell(self.say(r)) for r in told.propose_cut_off),
                    Cell(
                        self.both(
                            f"決める人: {told.plan.decider or '計画に書かれていません'}",
                            f"Decider: {told.plan.decider or 'not named in the plan'}",
                        )
                    ),
                    *(
                        [Cell(self.both(f"代理: {'、'.join(deputies)}", f"Deputies: {', '.join(deputies)}"))]
                        if (deputies := told.plan.deputies)
                        else []
                    ),
                    *(
                        [Cell(self.both(f"基準: {told.plan.criteria}", f"Criteria: {told.plan.criteria}"))]
                        if told.plan.criteria
                        else []
                    ),
                ),
            ),
            Answer(
                self.both("止めていないもの", "What was not blocked?"),
                self.both(f"{len(held)}件を保留しました", f"{len(held)} held back"),
                "unknown" if held else "plain",
                tuple(Cell(plain(f"{defang(h.target.value)}: {self.say(h.reasons[0])}")) for h in held[:_SHOWN]),
            ),
        )

    def _cost(self) -> Answer:
        told, question = self.told, self.both("何が止まるか", "What will break?")
        if told.simulation is None:
            return Answer(
                question, self.both("わかりません(過去のログがありません)", "Unknown: no logs to learn from"), "unknown"
            )
        use = told.simulation.block.use
        harmless = max((t.bystanders for t in told.simulation.targets), default=0)
        days, people = told.simulation.days, self._people(use)
        details = [
            self.cell(
                self.both(
                    f"過去{days}日に {use.total:,}件、端末{use.hosts}台、{people}",
                    f"In {days} days: {use.total:,} contacts, {use.hosts} machines, {people}",
                )
            )
        ]
        details += [
            self.cell(
                self.both(
                    f"{defang(t.value)}: 感染していない端末{t.bystanders}台",
                    f"{defang(t.value)}: {t.bystanders} machines not known as infected",
                )
            )
            for t in told.simulation.targets
            if t.bystanders
        ][:_SHOWN]
        details += [
            self.cell(self.both(f"業務 {s.name}: {s.use.total:,}件", f"System {s.name}: {s.use.total:,} contacts"))
            for s in told.simulation.block.systems
            if s.use.total
        ]
        return Answer(
            question,
            self.both(
                "感染端末の通信だけが止まります" if not harmless else f"感染していない端末も最大{harmless}台止まります",
                "Only infected machines lose anything"
                if not harmless
                else f"Up to {harmless} machines not known as infected lose it too",
            ),
            "plain",
            tuple(details),
        )

    def order(self) -> Section:
        """Who loads what, device by device, in the order of the steps."""
        rows = []
        for number, device in enumerate(self.told.blocks.devices, 1):
            files = ", ".join(f"{device.id}/{f.path}" for f in device.files if "undo" not in f.path)
            undo = ", ".join(f"{device.id}/{f.path}" for f in device.files if "undo" in f.path)
            count = len(stopped(self.told.blocks.job.targets, device))
            rows.append(
                (
                    Cell(str(number)),
                    Cell(device.title),
                    Cell(str(count)),
                    Cell(files, True),
                    Cell(self.say(device.effect)),
                    Cell(undo or self.say(device.undo[0]), bool(undo)),
                )
            )
        columns = self.both(
            "順|機器|件数|入れるファイル|利用者に起きること|戻すファイル",
            "#|Device|Entries|Load|What users notice|Undo",
        ).split("|")
        return Section(
            "order",
            self.both("どこに何を入れるか", "What to load where"),
            self.table(columns, rows, (1, 3, 1, 5, 4, 4)),
        )

    def hosts(self) -> Section:
        rows = [
            (
                Cell(str(n)),
                self.cell(h.host, mono=True),
                Cell(", ".join(h.addresses), True),
                Cell(self.say(words.CAUSE[h.cause])),
                self.cell(self.both("。", "; ").join(map(self.say, h.reasons)), h.records),
                Cell(self.when(h.last)),
            )
            for n, h in enumerate(self.told.isolation, 1)
        ]
        columns = self.both(
            "順|機器|アドレス|決め手|理由|最後の記録", "#|Machine|Address|Cause|Reasons|Last record"
        ).split("|")
        return Section(
            "hosts",
            self.both("切り離す機器(急ぐ順)", "Machines to isolate, most urgent first"),
            self.table(columns, rows, (1, 2, 2, 2, 5, 2)),
        )

    def targets(self) -> Section:
        rows = []
        use = {t.value: t for t in self.told.simulation.targets} if self.told.simulation else {}
        cautions = self.told.blocks.sorted.cautions
        for one in self.told.blocks.sorted.block:
            where = [self.say(words.CONTROL[c]) for c in CONTROLS if c in one.where]
            seen = use.get(one.value)
            told = [
                self.say(r) for r in (*self.told.blocks.sorted.forced.get(one.value, ()), *cautions.get(one.value, ()))
            ]
            if seen and seen.behind:
                told.append(
                    self.both("同じアドレスにある名前: ", "other names behind it: ")
                    + ", ".join(defang(b) for b in seen.behind[:5])
                )
            if seen and seen.systems:
                told.append(self.both("業務: ", "systems: ") + ", ".join(seen.systems))
            rows.append(
                (
                    self.cell(defang(one.value), mono=True),
                    Cell(", ".join(where)),
                    self.cell(self.both("、", ", ").join(self.say(r) for r in one.reasons), one.records),
                    Cell(f"{seen.use.total:,}" if seen else "–"),
                    Cell(", ".join(plain(h) for h in seen.hosts[:5]) if seen else "–", True),
                    self.cell(self.both("。", "; ").join(told) or "–"),
                )
            )
        columns = self.both(
            "遮断先|止める場所|理由|過去の件数|使った端末|入れる前に見ること",
            "Destination|Where|Why|Past contacts|Machines|Look first",
        ).split("|")
        return Section(
            "targets", self.both("遮断する宛先", "Destinations to block"), self.table(columns, rows, (4, 3, 4, 1, 3, 4))
        )

    def devices(self) -> Section:
        blocks: list[Block] = []
        for device in self.told.blocks.devices:
            blocks.append(Block("heading", device.title))
            items = [Cell(f"{self.both('入れる', 'Load')} {n}: {self.say(s)}") for n, s in enumerate(device.load, 1)]
            items += [Cell(f"{self.both('戻す', 'Undo')}: {self.say(s)}") for s in device.undo]
            if device.left_out:
                names = ", ".join(defang(e.value) for e in device.left_out[:5])
                more = f" +{len(device.left_out) - 5}" if len(device.left_out) > 5 else ""
                items.append(
                    self.cell(
                        self.both(
                            f"ここでは止められないもの: {names}{more} ({self.say(device.left_out[0].reason)})",
                            f"Can't be stopped here: {names}{more} ({self.say(device.left_out[0].reason)})",
                        )
                    )
                )
            blocks.append(Block("list", items=tuple(items)))
        return Section("devices", self.both("機器ごとの手順", "Steps for each device"), tuple(blocks))

    def held(self) -> Section:
        rows = [
            (
                self.cell(defang(h.target.value), mono=True),
                Cell(h.target.type),
                self.cell(self.both("。", "; ").join(self.say(r) for r in h.reasons)),
                self.cell(self.both("、", ", ").join(self.say(r) for r in h.target.reasons), h.target.records),
            )
            for h in self.told.blocks.sorted.held
        ]
        columns = self.both(
            "宛先|種別|止めなかった理由|挙がった理由", "Destination|Type|Why not blocked|Why it was named"
        ).split("|")
        blocks = self.table(columns, rows, (4, 1, 5, 4))
        if blocks:
            blocks = (
                *blocks,
                Block(
                    "empty",
                    self.both(
                        "確かめた上で止めるには hikeshi contain blocklist --block 値 を付けて作り直します。"
                        "社内・自組織・計画で止めないとした宛先は、それでも止めません。",
                        "To block one after looking, make the list again with --block VALUE. "
                        "Private, own and never_block places stay.",
                    ),
                ),
            )
        return Section("held", self.both("保留した宛先", "Held back"), blocks)

    def price(self) -> Section:
        told = self.told.simulation
        title = self.both("全面遮断した場合", "The price of a full cut-off")
        if told is None or told.cut_off is None:
            return Section("price", title, ())
        columns = self.both(
            "いつ|件数|プロキシ|FW|DNS|端末|利用者|送信バイト",
            "When|Contacts|Proxy|Firewall|DNS|Machines|Users|Bytes out",
        ).split("|")
        rows = [self._sum(self.both("常に", "always"), told.cut_off.use)]
        rows += [self._sum(w.name, w.use) for w in told.windows]
        rows.append(self._sum(self.both("許可リストで通るもの", "still open by the allow-list"), told.allowed))
        blocks: list[Block] = [*self.table(columns, rows, (4, 2, 2, 2, 2, 1, 1, 2))]
        blocks.append(Block("heading", self.both("時間帯", "Hours of the day")))
        blocks += self._clock(told.cut_off, told.days)
        blocks.append(Block("heading", self.both("宛先(多い順)", "Destinations by rank")))
        blocks += self._ranked(told.cut_off)
        systems = [
            (
                Cell(s.name),
                Cell(f"{s.use.total:,}"),
                Cell(str(s.use.users)),
                Cell(str(s.use.hosts)),
                Cell(f"{s.per_hour:,}"),
                Cell(s.busiest_hour or "–"),
                Cell(s.impact_per_hour or "–"),
            )
            for s in told.cut_off.systems
        ]
        if systems:
            blocks.append(Block("heading", self.both("業務", "Business systems")))
        blocks += self.table(
            self.both(
                "業務|件数|利用者|端末|1時間あたり|最も多い時間|1時間の影響",
                "System|Contacts|Users|Machines|Per hour|Busiest|Impact per hour",
            ).split("|"),
            systems,
            (3, 2, 1, 1, 2, 2, 3),
        )
        blocks.append(
            Block(
                "empty",
                self.both(
                    f"{self.when(told.first)} から {self.when(told.last)} ({told.days}日) のログから数えました。"
                    "すでに拒否された通信は数えていません。",
                    f"Counted from logs of {self.when(told.first)} to {self.when(told.last)} ({told.days} days); "
                    "what is refused already is not counted.",
                ),
            )
        )
        return Section("price", title, tuple(blocks))

    def _people(self, use: Use) -> str:
        if not use.users:
            return self.both("利用者名はログにありません", "no user names in the logs")
        return self.both(f"利用者{use.users}人", f"{use.users} users")

    def _clock(self, scenario: Scenario, days: float) -> tuple[Block, ...]:
        """The mean of each hour of the day, six hours a line: when a cut-off hurts least."""
        sums = [0] * 24
        for hour, counts in scenario.hourly.items():
            sums[datetime.fromisoformat(hour).astimezone(self.told.plan.zone).hour] += sum(counts)
        most = max(max(sums), 1)
        rows = []
        for first in range(0, 24, 6):
            cells = [Cell(f"{first}:00–{first + 5}:59")]
            for total in sums[first : first + 6]:
                bar = "▇" * round(8 * total / most) or "·"
                cells.append(Cell(f"{total / max(days, 1):,.0f} {bar}"))
            rows.append(tuple(cells))
        columns = [self.both("1日平均の件数", "Contacts, daily mean"), *(f"+{n}h" for n in range(6))]
        return self.table(columns, rows, (3, 2, 2, 2, 2, 2, 2))

    def _ranked(self, scenario: Scenario) -> list[Block]:
        rows = [
            (
                Cell(str(n)),
                self.cell(d["destination"], mono=True),
                Cell(f"{d['requests']:,}"),
                Cell(str(d["hosts"])),
                Cell(str(d["users"])),
                Cell(f"{d['bytes_out']:,}"),
            )
            for n, d in enumerate(scenario.destinations[:20], 1)
        ]
        return list(
            self.table(
                self.both(
                    "位|宛先|件数|端末|利用者|送信バイト", "Rank|Destination|Contacts|Machines|Users|Bytes out"
                ).split("|"),
                rows,
                (1, 5, 2, 1, 1, 2),
            )
        )

    def _sum(self, name: str, use: Use) -> tuple[Cell, ...]:
        kinds = [use.requests.get(k, 0) for k in ("proxy", "firewall", "dns")]
        return (Cell(plain(name)), *(Cell(f"{n:,}") for n in (use.total, *kinds, use.hosts, use.users, use.bytes_out)))

    def accounts(self) -> Section:
        rows = [
            (
                self.cell(a.host or "–", mono=True),
                self.cell(a.account, mono=True),
                Cell(self.say(words.KIND[a.kind])),
                self.cell(self.both("。", "; ").join(self.say(r) for r in a.reasons), a.records),
                Cell(
                    "–"
                    if a.after_entry is None
                    else self.both("はい", "yes")
                    if a.after_entry
                    else self.both("いいえ", "no")
                ),
            )
            for a in self.told.accounts
        ]
        columns = self.both(
            "機器|アカウント|種類|理由|侵入後にも使用", "Machine|Account|Kind|Reason|Used after entry"
        ).split("|")
        return Section(
            "accounts",
            self.both("変えるパスワード(上から順)", "Passwords to change, in this order"),
            self.table(columns, rows, (2, 3, 2, 6, 2)),
        )

    def mail(self) -> Section:
        blocks = [Block("list", items=tuple(Cell(self.say(m)) for m in MAIL))]
        rows = [(self.cell(c.name), self.cell(c.by)) for c in self.told.plan.contacts]
        blocks += self.table(self.both("連絡先|メールによらない手段", "Contact|Reached by").split("|"), rows, (2, 3))
        if not rows:
            blocks.append(
                Block(
                    "empty",
                    self.both(
                        "計画に、メールによらない連絡先([[contact]])がありません。",
                        "The plan names no contact that works without mail ([[contact]]).",
                    ),
                )
            )
        return Section("mail", self.both("メールとWeb以外", "Mail and what is not the Web"), tuple(blocks))

    def place(self, ref: RecordRef) -> str:
        if ref.record_id is not None:
            return self.both(f"レコード {ref.record_id}", f"record {ref.record_id}")
        return self.both(f"{ref.line} 行目", f"line {ref.line}") if ref.line is not None else ""

    def records(self) -> Section:
        rows = [
            (Cell(str(n)), Cell(plain(ref.path), True), Cell(self.place(ref)), Cell(ref.sha256[:16], True))
            for n, ref in self.notes.rows()
        ]
        columns = self.both("番号|ファイル|場所|SHA-256", "No.|File|Place|SHA-256").split("|")
        return Section(
            "records", self.both("根拠の記録", "Records"), self.table(columns, rows, (1, 6, 2, 3), most=2000)
        )

    def table(
        self, columns: Sequence[str], rows: Sequence[tuple[Cell, ...]], widths: tuple[int, ...], *, most: int = _ROWS
    ) -> tuple[Block, ...]:
        if not rows:
            return ()
        more = (
            ""
            if len(rows) <= most
            else self.both(
                f"ほか {len(rows) - most:,} 件は JSON にあります", f"{len(rows) - most:,} more in the JSON output"
            )
        )
        return (Block("table", more, columns=tuple(columns), rows=tuple(rows[:most]), widths=widths),)


def as_text(view: View) -> str:
    """The view for a terminal or a printer without a browser."""
    out = [view.title, view.subtitle, ""]
    for answer in view.answers:
        out += [f"■ {answer.question}  {answer.answer}"]
        out += [f"  {str(n) + '.' if answer.steps else '-'} {c.text}" for n, c in enumerate(answer.details, 1)]
        out.append("")
    for section in view.sections:
        if section.id == "records":
            continue
        out += [f"== {section.title}", ""]
        for block in section.blocks:
            if block.kind == "table":
                out += [" | ".join(block.columns)]
                out += [" | ".join(c.text for c in row) for row in block.rows]
            elif block.kind == "list":
                out += [f"- {c.text}" for c in block.items]
            if block.text:
                out.append(f"[{block.text}]" if block.kind == "heading" else block.text)
        out.append("")
    return "\n".join(out)


def verification_lines(told: Verification) -> list[Text]:
    """One sentence for each thing a person must act on, most urgent first."""
    out = [
        Text(
            f"抜け道: {b.host} がプロキシを通らず {defang(b.destination)}"
            f"{':' + str(b.port) if b.port else ''} へ {b.count:,}回 ({b.device})"
            + (f" [遮断先 {defang(b.blocked)}]" if b.blocked else ""),
            f"bypass: {b.host} goes beside the proxy to {defang(b.destination)}"
            f"{':' + str(b.port) if b.port else ''}, {b.count:,} times ({b.device})"
            + (f" [blocked: {defang(b.blocked)}]" if b.blocked else ""),
        )
        for b in told.bypass
    ]
    out += [
        Text(
            f"通過: {p.host} から {defang(p.target)} へ {p.count:,}回、{p.device} を通っています",
            f"passes: {p.host} to {defang(p.target)}, {p.count:,} times, through {p.device}",
        )
        for p in told.passing
    ]
    out += [
        Text(
            f"新たな感染の疑い: {a.host} が {', '.join(defang(t) for t in a.targets[:3])} を{a.count:,}回試みました",
            f"newly revealed: {a.host} tried {', '.join(defang(t) for t in a.targets[:3])}, {a.count:,} times",
        )
        for a in told.revealed
    ]
    return out
