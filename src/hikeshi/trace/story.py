"""From the digests of all files to one story."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC

from hikeshi.events.time import NO_TIME, parse_iso
from hikeshi.model.case import Account, ClockOffset, Host, Remark, Spread, Story
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import Confidence, Finding
from hikeshi.model.sighting import Sighting
from hikeshi.model.text import Text
from hikeshi.trace import (
    borders,
    c2,
    entry,
    exfiltration,
    gaps,
    next_steps,
    persistence,
    timeline,
    ways_database,
    ways_logon,
    ways_program,
    ways_web,
)
from hikeshi.trace.blame import Blame
from hikeshi.trace.digest import Digest
from hikeshi.trace.flows import Flows
from hikeshi.trace.graph import measure
from hikeshi.trace.identity import Identity, account_name, host_name
from hikeshi.trace.infection import Hold, Infection
from hikeshi.trace.known import Known
from hikeshi.trace.network import public
from hikeshi.trace.parts import Parts
from hikeshi.trace.places import Places
from hikeshi.trace.rows import MINUTE, SECOND, Rows, moment, when
from hikeshi.trace.sessions import Sessions
from hikeshi.trace.signals import METHODS, SIGNALS
from hikeshi.trace.theft import Package, described, estimate, left_behind
from hikeshi.trace.travel import travel
from hikeshi.trace.unknown import unknowns
from hikeshi.trace.way import Way

_SEED_SCORE, _MAIL_SCORE = 5, 4
Encrypted = Sequence[tuple[str | None, RecordRef, str | None]]


def build_story(
    digests: Iterable[Digest],
    *,
    detections: Sequence[Finding] = (),
    sightings: Sequence[Sighting] = (),
    encrypted: Encrypted = (),
    notes: Sequence[str] = (),
    known: Known | None = None,
    places: Places | None = None,
    packages: Sequence[Package] = (),
) -> Story:
    """The intrusion as far as the evidence tells it; empty evidence gives an empty story.

    detections  findings of rules: severe ones on machines the story does not hold become unexplained
    encrypted   (host or None, the file, family or None) for each encrypted file or ransom note
    notes       remarks that came with the evidence, read for what they say about clocks
    known       what the company says is its own doing: explained, never accused
    places      where networks are, for logons from new and impossible places
    packages    archives among the evidence, for what was gathered
    The order of the digests does not matter.
    """
    whole = Digest.merge(digests).without_copies()
    rows = Rows(whole.events)
    who = Identity(rows, whole.flows, whole.spans)
    sessions = Sessions(rows, who)
    clocks = gaps.clock_offsets(rows, who, sessions, notes)
    if clocks:
        rows = Rows(whole.events, {c.host: c.seconds * SECOND for c in clocks})
        who = Identity(rows, whole.flows, whole.spans)
        sessions = Sessions(rows, who)
    infection = Infection(rows, who, sessions, known)
    flows = Flows(whole.flows, who)
    blamed = Blame(infection).of_marks()
    ways = [
        *ways_logon.vpn_ways(infection, blamed, places or Places()),
        *ways_logon.exposed_ways(infection, blamed),
        *ways_logon.device_ways(infection, blamed),
        *ways_program.mail_ways(infection),
        *ways_program.tool_ways(infection),
        *ways_program.supplier_ways(infection),
        *ways_program.agent_ways(infection),
        *ways_database.database_ways(infection),
        *ways_web.web_ways(whole.web, infection, who),
    ]
    ways = [w for w in ways if not infection.is_known(w.time, (w.host or "", w.source or ""), w.account or "", w.rows)]
    _begin(infection, ways)
    _listed(infection, who, sightings, flows)
    travel(infection)
    ciphered = _encrypted(infection, encrypted)
    entry.confirm(ways, infection)
    borders.name_machines(ways, whole.flows, who)
    _accounts_of_ways(infection, ways)
    sources = frozenset(w.source for w in ways if w.leads and w.source and public(w.source))
    gathered = described(exfiltration.staging(infection), packages)
    parts = Parts(
        staging=gathered + left_behind(packages, lambda ref: _machine(infection, None, ref), infection.hosts, gathered),
        exfiltration=exfiltration.uploads(infection, flows, sources),
        log_gaps=[*gaps.cleared(rows, whole.spans), *gaps.silences(whole.spans, rows)],
    )
    parts.c2 = c2.find(infection, flows, who, sightings, frozenset(e.destination for e in parts.exfiltration), sources)
    parts.spread = _spread(infection)
    parts.persistence = persistence.find(infection, ways)
    told = _story(infection, who, ways, parts, ciphered, clocks, detections, encrypted)
    held = frozenset((*(h.name for h in told.compromised_hosts), *infection.accounts))
    graph = measure(rows, sessions, held)
    return replace(
        told,
        unknowns=tuple(unknowns(infection, told.entry_candidates, parts, whole.spans)),
        ranking=graph.ranking,
        unusual=graph.unusual,
    )


def _begin(infection: Infection, ways: list[Way]) -> None:
    """Ways that are sure enough by themselves start the spread; the others wait until a trace leads to them."""
    for way in ways:
        sure = way.score >= _SEED_SCORE
        if way.kind in ("web_shell", "remote_tool", "supplier") and not sure:
            continue
        if way.name == ways_database.NAME:
            continue  # its machine is held by what the database started
        if way.kind == "supplier":
            for mark in ways_program.vendor_marks(infection, way):
                infection.hold_host(mark.host, mark.time, SIGNALS[mark.name].says, [mark.row])
        elif way.kind in ("mail_attachment", "remote_tool") and way.host and (sure or way.score >= _MAIL_SCORE):
            infection.hold_host(way.host, way.time, way.reasons[0], way.rows)
        elif way.kind == "web_shell" and way.host:
            said = Text(f"{way.source}がWebシェルで操作しました", f"{way.source} controlled it through a web shell")
            infection.hold_host(way.host, way.time, said, way.rows)
            if way.host in infection.hosts:
                infection.hosts[way.host].refs.update(way.refs)
        elif sure and way.inside:
            infection.start_from(way.inside)


def _listed(infection: Infection, who: Identity, sightings: Sequence[Sighting], flows: Flows) -> None:
    """Machines that talked to a listed address are held from then on."""
    for sighting in c2.by_list(sightings):
        client = c2.client_of(sighting, who) if sighting.client else ""
        if not client or public(client) or sighting.client in flows.proxies:
            continue
        time = parse_iso(sighting.first_seen, UTC) if sighting.first_seen else NO_TIME
        if time == NO_TIME:
            continue
        infection.hold_host(
            client,
            time,
            Text(
                f"攻撃者のものとして知られた{sighting.indicator}と通信しました",
                f"talked to {sighting.indicator}, which a list names as the attacker's",
            ),
            (),
        )
        if client not in infection.hosts:
            continue
        infection.hosts[client].refs.update(c2.places([sighting]))


def _machine(infection: Infection, host: str | None, ref: RecordRef) -> str | None:
    """The machine a file came from: a folder's name is one only if some log knows a machine of that name."""
    folders = ref.path.replace("\\", "/").split("/")[:-1]
    return next((n for n in map(host_name, (host or "", *folders)) if n and infection.who.knows(n)), None)


def _encrypted(infection: Infection, encrypted: Encrypted) -> list[Host]:
    """Machines on which encrypted files or notes were found."""
    by_host: dict[str, list[RecordRef]] = defaultdict(list)
    for host, ref, _ in encrypted:
        machine = _machine(infection, host, ref)
        if machine:
            by_host[machine].append(ref)
    out = []
    said = Text("暗号化されたファイルか脅迫文があります", "holds encrypted files or a ransom note")
    for host, refs in sorted(by_host.items()):
        held = infection.hosts.get(host)
        destroyed = [m for m in infection.marks_of.get(host, ()) if m.name in ("shadow_delete", "ransom_note")]
        out.append(
            Host(
                name=host,
                addresses=infection.who.addresses(host),
                first=when(min(m.time for m in destroyed)) if destroyed else None,
                last=when(max(m.time for m in destroyed)) if destroyed else None,
                reasons=(said,),
                confidence="high",
                records=tuple(dict.fromkeys((*refs[:10], *infection.rows.refs(m.row for m in destroyed))))[:20],
            )
        )
        if held is not None:
            held.reasons[said] = None
    return out


def _accounts_of_ways(infection: Infection, ways: list[Way]) -> None:
    """The account of a way that is sure enough is held, also where no machine's log confirms it."""
    for way in ways:
        if way.account and (way.leads or way.score >= _SEED_SCORE):
            infection.hold_account(
                way.account,
                way.time,
                Text("侵入に使われました", "was used to get in"),
                way.rows,
                "vpn" if way.kind == "vpn_credential" else "",
            )


def _spread(infection: Infection) -> list[Spread]:
    rows = infection.rows
    out = []
    for edge in infection.edges.values():
        sources = {(rows.text("host", r), rows.text("path", r)) for r in edge.rows}
        kinds = {rows.text("kind", r) for r in edge.rows}
        sure: Confidence = (
            "high" if len(sources) > 1 else "medium" if len(kinds) > 1 or edge.method != "unknown" else "low"
        )
        if (edge.source, edge.destination, edge.account, edge.method) in infection.doubtful:
            sure = "low"
        out.append(
            Spread(
                time=when(edge.time),
                source=edge.source,
                destination=edge.destination,
                account=edge.account or None,
                method=edge.method,
                technique=METHODS[edge.method][0],
                confidence=sure,
                records=rows.refs(edge.rows),
            )
        )
    return sorted(out, key=lambda s: (moment(s.time), s.source or "", s.destination, s.method))


def _host(infection: Infection, hold: Hold) -> Host:
    rows = infection.rows
    beside = sorted(hold.refs, key=lambda r: (r.path, r.record_id or 0, r.line or 0))[:5]
    records = tuple(dict.fromkeys((*beside, *rows.refs(hold.rows))))[:20]
    sure: Confidence = "high" if len({r.path for r in records}) > 1 else "medium" if len(hold.reasons) > 1 else "low"
    if sure == "low" and any(m.weight >= 3 for m in infection.marks_of.get(hold.name, ())):
        sure = "medium"
    return Host(
        name=hold.name,
        addresses=infection.who.addresses(hold.name),
        first=when(hold.first),
        last=when(hold.last),
        reasons=tuple(hold.reasons),
        confidence=sure,
        records=records,
    )


def _story(
    infection: Infection,
    who: Identity,
    ways: list[Way],
    parts: Parts,
    ciphered: list[Host],
    clocks: list[ClockOffset],
    detections: Sequence[Finding],
    encrypted: Encrypted,
) -> Story:
    rows = infection.rows
    outside = {f.address for f in infection.foreign}
    hosts = [_host(infection, h) for n, h in infection.hosts.items() if n not in outside and not public(n)]
    hosts += [
        Host(
            name=h.name,
            addresses=h.addresses,
            first=h.first,
            last=h.last,
            reasons=h.reasons,
            confidence="medium",
            records=h.records,
        )
        for h in ciphered
        if h.name not in infection.hosts
    ]
    hosts = [h for h in hosts if h.records]
    hosts.sort(key=lambda h: (moment(h.first), h.name))
    held = {h.name for h in hosts}
    touched = tuple(
        sorted(
            (_host(infection, h) for n, h in infection.touched.items() if n not in held),
            key=lambda h: (moment(h.first), h.name),
        )
    )
    accounts = tuple(sorted((_account(infection, a) for a in infection.accounts.values()), key=lambda a: a.name))
    candidates = entry.candidates(ways, rows)
    controllers = _controllers(rows)
    return Story(
        entry_candidates=candidates,
        compromised_hosts=tuple(hosts),
        touched_hosts=touched,
        encrypted_hosts=tuple(ciphered),
        compromised_accounts=accounts,
        accounts_to_reset=next_steps.accounts_to_reset(accounts, infection, controllers, _signed_on(infection)),
        c2=tuple(parts.c2),
        spread=tuple(parts.spread),
        bypass_paths=next_steps.bypass_paths(parts, candidates),
        staging=tuple(parts.staging),
        exfiltration=tuple(parts.exfiltration),
        leak=estimate(parts.staging, parts.exfiltration),
        persistence=tuple(parts.persistence),
        log_gaps=tuple(parts.log_gaps),
        clock_offsets=tuple(clocks),
        timeline=tuple(timeline.tell(infection, ways, parts)),
        block_list=next_steps.block_list(candidates, parts),
        isolate=next_steps.isolate(hosts, infection, parts, controllers, candidates),
        unexplained=tuple(_unexplained(infection, held, detections, ways, encrypted)),
        explained=tuple(_explained(infection, ways)),
    )


def _account(infection: Infection, hold: Hold) -> Account:
    rows = infection.rows
    kind = hold.kind
    if not kind:
        domains = {host_name(rows.text("domain", r)) for r in hold.rows if rows.text("domain", r)}
        names = {host_name(rows.text("host", r)) for r in hold.rows}
        ssh = all(rows.text("kind", r) in ("ssh_logon", "logon_failure") for r in hold.rows) and bool(hold.rows)
        kind = "local" if ssh or (domains and domains <= names) else "domain"
    records = rows.refs(hold.rows)
    sure: Confidence = "high" if len({r.path for r in records}) > 1 else "medium"
    return Account(name=hold.name, kind=kind, reasons=tuple(hold.reasons), confidence=sure, records=records)


def _controllers(rows: Rows) -> set[str]:
    """Machines that hand out tickets are domain controllers."""
    return {host_name(rows.text("host", r)) for r in rows.of("ticket").tolist()}


def _signed_on(infection: Infection) -> dict[str, set[str]]:
    """Accounts with an interactive session on each held machine since two days before it was held."""
    out: dict[str, set[str]] = defaultdict(set)
    for host, hold in infection.hosts.items():
        numbers = infection.sessions.into(host)
        for number in numbers.tolist():
            session = infection.sessions.get(number)
            if session.kind == "rdp" and hold.first - 2 * 86_400 * SECOND <= session.start <= hold.last:
                out[host].add(session.account)
    rows = infection.rows
    for row in rows.of("local_logon").tolist():
        host = host_name(rows.text("host", row))
        local = infection.hosts.get(host)
        if local is not None and local.first - 2 * 86_400 * SECOND <= int(rows.time[row]) <= local.last:
            out[host].add(account_name(rows.text("account", row)))
    return out


def _unexplained(
    infection: Infection, held: set[str], detections: Sequence[Finding], ways: list[Way], encrypted: Encrypted
) -> list[Remark]:
    """Signals on machines that are not held, and strong rule findings the story has no place for."""
    rows = infection.rows
    by: dict[tuple[str, str], list[int]] = defaultdict(list)
    for mark in infection.marks:
        hold = infection.hosts.get(mark.host)
        if mark.weight >= 2 and (hold is None or mark.time < hold.first - MINUTE):
            by[mark.host, mark.name].append(mark.row)
    out = []
    for (host, name), cited in sorted(by.items()):
        text = SIGNALS[name].says
        out.append(
            Remark(
                subject=host,
                confidence="low",
                records=rows.refs(cited),
                reason=Text(
                    f"{text.ja}。攻撃とのつながりは見つかっていません", f"{text.en}; no link to the attack was found"
                ),
            )
        )
    out += [
        Remark(
            subject=", ".join(f.hosts),
            confidence="low",
            records=f.records[:20],
            reason=Text(
                f"{f.title.ja}。攻撃とのつながりは見つかっていません", f"{f.title.en}; no link to the attack was found"
            ),
        )
        for f in detections
        if f.severity in ("critical", "high") and f.hosts and not {host_name(h) for h in f.hosts} & held
    ]
    homeless = tuple(dict.fromkeys(ref for host, ref, _ in encrypted if _machine(infection, host, ref) is None))
    if homeless:
        out.append(
            Remark(
                subject=homeless[0].path,
                confidence="high",
                records=homeless[:20],
                reason=Text(
                    f"暗号化されたファイルか脅迫文が{len(homeless):,}個ありますが、どの機器のものかわかりません",
                    f"{len(homeless):,} encrypted files or notes; from which machine they come is not known",
                ),
            )
        )
    for source, host, account, method in sorted(infection.doubtful):
        edge = infection.edges[source, host, account, method]
        out.append(
            Remark(
                subject=host,
                confidence="low",
                records=rows.refs(edge.rows),
                reason=Text(
                    f"{source}から{account}が{METHODS[method][1].ja}で操作しました。管理作業かどうか確かめてください",
                    f"{account} controlled it from {source} by {METHODS[method][1].en};"
                    " ask whether this was administration",
                ),
            )
        )
    for host, time in sorted(infection.untraced.items()):
        entered = any(w.leads and w.host == host for w in ways)
        if host in held and not entered and not any(e.destination == host for e in infection.edges.values()):
            hold = infection.hosts[host]
            out.append(
                Remark(
                    subject=host,
                    confidence="low",
                    records=rows.refs(hold.rows),
                    reason=Text(
                        f"{when(time)}より前に、どこから入られたかを示す記録がありません",
                        f"no record shows from where it was entered before {when(time)}",
                    ),
                )
            )
    return out[:60]


def _noise(rows: Rows) -> list[Remark]:
    """Sources that tried the VPN and never came in."""
    failed: dict[str, list[int]] = defaultdict(list)
    for row in rows.of("vpn_failure").tolist():
        failed[rows.text("source", row)].append(row)
    inside = {rows.text("source", row) for row in rows.of("vpn_up").tolist()}
    strangers = {s: r for s, r in failed.items() if s not in inside}
    if not strangers:
        return []
    cited = [row for s in sorted(strangers) for row in strangers[s]]
    return [
        Remark(
            subject="VPN",
            confidence="high",
            records=rows.refs(cited),
            reason=Text(
                f"{len(strangers):,}個の接続元が{len(cited):,}回失敗しましたが、1回も成功していません",
                f"{len(strangers):,} sources failed {len(cited):,} times and never succeeded",
            ),
        )
    ]


def _explained(infection: Infection, ways: list[Way]) -> list[Remark]:
    rows = infection.rows
    out = [
        Remark(subject=subject, reason=reason, confidence="medium", records=refs)
        for subject, (reason, refs) in sorted(infection.explained.items())
    ]
    jobs: dict[tuple[str, str], set[int]] = defaultdict(set)
    for (name, _), (host, cited) in infection.routine.items():
        if SIGNALS[name].weight >= 2:
            jobs[host, name] |= cited
    for (host, name), cited in sorted(jobs.items()):
        text = SIGNALS[name].says
        out.append(
            Remark(
                subject=host,
                confidence="medium",
                records=rows.refs(cited),
                reason=Text(
                    f"{text.ja}。何日も、または多くの機器で同じ操作があり、定期の作業です",
                    f"{text.en}; the same on several days or many machines: a regular job",
                ),
            )
        )
    out += _noise(rows)
    for way in ways:
        if way.kind == "vpn_credential" and not way.leads and way.against and way.score < 3:
            out.append(
                Remark(
                    subject=f"VPN {way.account} ({way.source})",
                    confidence="medium",
                    records=rows.refs(way.rows),
                    reason=way.against[0],
                )
            )
    return out[:60]
