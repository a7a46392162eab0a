"""Windows records that the story needs, by channel and event number.

Reads the record's own fields (TargetUserName, IpAddress, …). Accounts of the system itself
(SYSTEM, DWM-1, …) and logons without a network are left out: they say nothing about spread.
"""

from __future__ import annotations

import re

import pyarrow as pa

from hikeshi.events.table import Column
from hikeshi.trace import programs
from hikeshi.trace.kept import KEPT, Handler, address, name, person
from hikeshi.trace.network import make_flows
from hikeshi.trace.slices import Collector, Mask, Slice, by_group, empty, first_of, mapped, matches

_SECURITY = "security"
_SYSTEM = "system"
_SYSMON = "microsoft-windows-sysmon/operational"
_TASKS = "microsoft-windows-taskscheduler/operational"
_POWERSHELL = "microsoft-windows-powershell/operational"
_OLD_POWERSHELL = "windows powershell"
_SSH = "openssh/operational"
_MINUTES_10, _HOUR, _DAY = 600, 3600, 86_400
LATERAL_PORTS = frozenset(("22", "135", "445", "3389", "5985", "5986"))


def collect(out: Collector, rows: Slice) -> list[pa.Table]:
    """Put the needed records into `out`; returns flows."""
    channel = mapped(rows.col("winlog.channel"), str.lower)
    code = rows.col("event.code")
    pair = by_group((channel, code), lambda c, n: f"{c}|{n}" if f"{c}|{n}" in _HANDLERS else None)
    flows: list[pa.Table] = []
    for number, key in enumerate(pair.values):
        chosen = rows.keep(pair.codes == number)
        made = _HANDLERS[key](out, chosen)
        if made is not None:
            flows.append(made)
    return flows


def _logon(out: Collector, rows: Slice) -> None:
    account = rows.col("TargetUserName")
    kind = rows.col("LogonType")
    remote = matches(kind, lambda t: t in ("3", "8", "10", "12", "7"))
    local = matches(kind, lambda t: t in ("2", "4", "9", "11"))
    wanted = matches(account, person)
    machine = matches(account, lambda a: a.endswith("$"))
    away = matches(rows.col("IpAddress"), lambda a: address(a) is not None)
    named = matches(rows.col("WorkstationName"), lambda w: name(w) is not None)
    looped = rows.keep(
        wanted
        & ~machine
        & matches(kind, lambda t: t in ("10", "12"))
        & matches(rows.col("IpAddress"), lambda a: a.startswith("127.") or a == "::1")
    )
    out.add(
        "rdp_loopback",
        looped,
        account=looped.col("TargetUserName"),
        domain=looped.col("TargetDomainName"),
        logon_id=mapped(looped.col("TargetLogonId"), str.lower),
        signal="rdp_tunnel",
    )
    for mask, bucket, label in (
        (wanted & remote & ~machine & (away | named), None, "logon"),
        (machine & away, _HOUR, "machine_logon"),
        (wanted & local & ~machine, _MINUTES_10, "local_logon"),
    ):
        part = rows.keep(mask)
        if label == "machine_logon":
            out.add(
                label,
                part,
                bucket_s=bucket,
                account=part.col("TargetUserName"),
                source=mapped(part.col("IpAddress"), address),
            )
            continue
        extra = {} if bucket else {"logon_id": mapped(part.col("TargetLogonId"), str.lower)}
        out.add(
            label,
            part,
            bucket_s=bucket,
            account=part.col("TargetUserName"),
            domain=part.col("TargetDomainName"),
            source=mapped(part.col("IpAddress"), address),
            source_name=mapped(part.col("WorkstationName"), name),
            logon_type=part.col("LogonType"),
            **extra,
        )


_SHARES = re.compile(r"(?:admin|[a-z])\$\Z", re.I)
_PIPES = re.compile(
    r"(?:\\)?(?:svcctl|atsvc|itaskscheduler|winreg|eventlog|psexe\w*|paexec\w*|remcom\w*|csexec\w*)"
    r"(?:-.*)?\Z",
    re.I,
)


def _share(out: Collector, rows: Slice) -> None:
    share = mapped(rows.col("ShareName"), lambda s: s.rsplit("\\", 1)[-1].upper())
    inside = rows.col("RelativeTargetName")
    pipe = mapped(inside, lambda t: t.lstrip("\\").lower() if _PIPES.match(t) else None)
    admin = matches(share, lambda s: bool(_SHARES.match(s)))
    dropped = mapped(inside, lambda t: t if re.search(r"\.(?:exe|dll|bat|ps1|cmd)\Z", t, re.I) else None)
    wanted = (admin | (pipe.codes >= 0)) & matches(rows.col("SubjectUserName"), lambda a: person(a) and a[-1:] != "$")
    part = rows.keep(wanted)
    detail = first_of((pipe, dropped))
    out.add(
        "share",
        part,
        bucket_s=_MINUTES_10,
        account=part.col("SubjectUserName"),
        domain=part.col("SubjectDomainName"),
        source=mapped(part.col("IpAddress"), address),
        object=Column(share.values, share.codes[wanted]),
        detail=Column(detail.values, detail.codes[wanted]),
        logon_id=mapped(part.col("SubjectLogonId"), str.lower),
    )


def _service(out: Collector, rows: Slice) -> None:
    label, path = rows.col("ServiceName"), rows.col("ImagePath", "ServiceFileName")
    out.add(
        "service",
        rows,
        object=label,
        detail=path,
        actor=mapped(rows.col("SubjectUserName"), name),
        logon_id=mapped(rows.col("SubjectLogonId"), str.lower),
        signal=by_group((label, path), programs.service_signal),
    )


def _task(out: Collector, rows: Slice) -> None:
    label, content = rows.col("TaskName"), rows.col("TaskContent", "TaskContentNew", "ActionName", "Path")
    out.add(
        "task",
        rows,
        object=label,
        detail=mapped(content, lambda c: programs.task_command(c) or None),
        actor=mapped(rows.col("SubjectUserName", "UserName", "UserContext"), lambda u: u.rsplit("\\", 1)[-1]),
        logon_id=mapped(rows.col("SubjectLogonId"), str.lower),
        signal=by_group((label, content), programs.task_signal),
    )


def _process(out: Collector, rows: Slice) -> None:
    image, command = rows.col("NewProcessName", "Image"), rows.col("CommandLine")
    parent = rows.col("ParentProcessName", "ParentImage")
    signal = by_group((image, command, parent), programs.program_signal)
    wanted: Mask = signal.codes >= 0
    part = rows.keep(wanted)
    user = part.col("TargetUserName")
    subject = part.col("SubjectUserName")
    acting = first_of(
        (mapped(user, name), mapped(subject, name), mapped(part.col("User"), lambda u: name(u.rsplit("\\", 1)[-1])))
    )
    domain = first_of(
        (part.col("SubjectDomainName"), mapped(part.col("User"), lambda u: u.split("\\")[0] if "\\" in u else None))
    )
    out.add(
        "process",
        part,
        account=acting,
        domain=domain,
        object=part.col("NewProcessName", "Image"),
        detail=part.col("CommandLine"),
        actor=part.col("ParentProcessName", "ParentImage"),
        logon_id=mapped(
            first_of(
                (
                    mapped(part.col("TargetLogonId"), lambda i: None if i == "0x0" else i),
                    part.col("SubjectLogonId"),
                    part.col("LogonId"),
                )
            ),
            str.lower,
        ),
        signal=Column(signal.values, signal.codes[wanted]),
    )


def _script(out: Collector, rows: Slice) -> None:
    text = rows.col("ScriptBlockText", "Payload", "HostApplication")
    signal = mapped(text, _script_signal)
    part = rows.keep(signal.codes >= 0)
    out.add(
        "process",
        part,
        object="powershell.exe",
        detail=part.col("ScriptBlockText", "Payload", "HostApplication"),
        signal=Column(signal.values, signal.codes[signal.codes >= 0]),
    )


def _script_signal(text: str) -> str | None:
    found = programs.command_signal(text)
    # Module code mentions many commands; only what attacks, downloads or reaches out counts.
    keep = (
        "lsass_dump",
        "credential_dump",
        "shadow_delete",
        "attack_script",
        "log_clear",
        "download",
        "exfil_tool",
        "remote_exec_client",
        "archive",
        "tunnel",
        "defence_off",
        "encoded_command",
    )
    return found if found in keep else None


def _old_script(out: Collector, rows: Slice) -> None:
    text = rows.col("Data", "data", "HostApplication")
    signal = mapped(
        text, lambda t: s if (s := _script_signal(t)) not in (None, "remote_exec_client", "archive") else None
    )
    part = rows.keep(signal.codes >= 0)
    out.add(
        "process",
        part,
        object="powershell.exe",
        detail=part.col("Data", "data", "HostApplication"),
        signal=Column(signal.values, signal.codes[signal.codes >= 0]),
    )


def _lsass(out: Collector, rows: Slice) -> None:
    target = matches(rows.col("TargetImage"), lambda t: programs.file_name(t) == "lsass.exe")
    part = rows.keep(target)
    hit = by_group(
        (part.col("SourceImage"), part.col("GrantedAccess")),
        lambda i, a: "lsass_dump" if programs.lsass_access(i, a) else None,
    )
    part = part.keep(hit.codes >= 0)
    out.add(
        "process",
        part,
        bucket_s=_MINUTES_10,
        object=part.col("SourceImage"),
        signal="lsass_dump",
        detail=part.col("TargetImage"),
        account=mapped(part.col("SourceUser"), lambda u: name(u.rsplit("\\", 1)[-1])),
    )


def _lsass_object(out: Collector, rows: Slice) -> None:
    target = matches(rows.col("ObjectName"), lambda t: t.lower().endswith("lsass.exe"))
    part = rows.keep(target)
    hit = by_group(
        (part.col("ProcessName"), part.col("AccessMask")),
        lambda i, a: "lsass_dump" if programs.lsass_access(i, a) else None,
    )
    part = part.keep(hit.codes >= 0)
    out.add(
        "process",
        part,
        bucket_s=_MINUTES_10,
        object=part.col("ProcessName"),
        detail=part.col("ObjectName"),
        account=mapped(part.col("SubjectUserName"), name),
        signal="lsass_dump",
    )


def _file(out: Collector, rows: Slice) -> None:
    path, by = rows.col("TargetFilename"), rows.col("Image")
    signal = by_group((path, by), programs.file_signal)
    part = rows.keep(signal.codes >= 0)
    kept = Column(signal.values, signal.codes[signal.codes >= 0])
    out.add(
        "file",
        part,
        bucket_s=_MINUTES_10,
        object=part.col("TargetFilename"),
        detail=part.col("Image"),
        signal=kept,
        account=mapped(part.col("User"), lambda u: name(u.rsplit("\\", 1)[-1])),
    )


_RUN_KEY = re.compile(r"\\currentversion\\(?:run|runonce|policies\\explorer\\run)\\", re.I)


def _registry(out: Collector, rows: Slice) -> None:
    part = rows.keep(matches(rows.col("TargetObject"), lambda t: bool(_RUN_KEY.search(t))))
    key, value = part.col("TargetObject"), part.col("Details")
    signal = mapped(value, lambda v: "odd_run_key" if programs.task_signal("", v) else None)
    out.add(
        "run_key",
        part,
        object=key,
        detail=value,
        signal=signal,
        actor=mapped(part.col("User"), lambda u: name(u.rsplit("\\", 1)[-1])),
    )


def _sysmon_connection(out: Collector, rows: Slice) -> pa.Table | None:
    started = matches(rows.col("Initiated"), lambda i: i.lower() == "true")
    port = rows.col("DestinationPort")
    lateral = matches(port, lambda p: p in LATERAL_PORTS)
    incoming = rows.keep(~started & lateral)
    out.add(
        "inbound",
        incoming,
        bucket_s=_MINUTES_10,
        source=mapped(incoming.col("SourceIp"), address),
        source_name=mapped(incoming.col("SourceHostname"), name),
        status=incoming.col("DestinationPort"),
    )
    leaving = rows.keep(started)
    out.add("own_address", leaving, bucket_s=_DAY, source=mapped(leaving.col("SourceIp"), address))
    aimed = rows.keep(started & lateral)
    out.add(
        "outbound",
        aimed,
        bucket_s=_MINUTES_10,
        target=mapped(aimed.col("DestinationIp"), address),
        status=aimed.col("DestinationPort"),
        object=aimed.col("Image"),
        account=mapped(aimed.col("User"), lambda u: u.rsplit("\\", 1)[-1]),
    )
    return make_flows(
        out.source,
        leaving,
        kind="process",
        client=leaving.col("host.name"),
        destination=mapped(leaving.col("DestinationHostname"), name),
        ip=mapped(leaving.col("DestinationIp"), address),
        port=leaving.col("DestinationPort"),
        program=leaving.col("Image"),
    )


def _filtered_connection(out: Collector, rows: Slice) -> pa.Table | None:
    outward = matches(rows.col("Direction"), lambda d: d == "%%14593")
    lateral = matches(rows.col("DestPort"), lambda p: p in LATERAL_PORTS)
    inward = rows.keep(
        matches(rows.col("Direction"), lambda d: d == "%%14592")
        & matches(rows.col("SourcePort"), lambda p: p in LATERAL_PORTS)
    )
    # For inbound connections Windows writes the local end as the source.
    out.add(
        "inbound",
        inward,
        bucket_s=_MINUTES_10,
        source=mapped(inward.col("DestAddress"), address),
        status=inward.col("SourcePort"),
    )
    aimed = rows.keep(outward & lateral)
    out.add(
        "outbound",
        aimed,
        bucket_s=_MINUTES_10,
        target=mapped(aimed.col("DestAddress"), address),
        status=aimed.col("DestPort"),
        object=aimed.col("Application"),
    )
    leaving = rows.keep(outward & ~lateral)
    return make_flows(
        out.source,
        leaving,
        kind="process",
        client=leaving.col("host.name"),
        destination=empty(len(leaving)),
        ip=mapped(leaving.col("DestAddress"), address),
        port=leaving.col("DestPort"),
        program=leaving.col("Application"),
    )


def _question(out: Collector, rows: Slice) -> pa.Table | None:
    return make_flows(
        out.source,
        rows,
        kind="dns",
        client=rows.col("host.name"),
        destination=mapped(rows.col("QueryName"), lambda q: q.rstrip(".").lower()),
        ip=empty(len(rows)),
        port=empty(len(rows)),
        program=rows.col("Image"),
    )


_SSH_LINE = re.compile(r"(?P<how>Accepted|Failed) (?:\S+) for (?:invalid user )?(?P<user>\S+) from (?P<ip>\S+)")


def _windows_ssh(out: Collector, rows: Slice) -> None:
    add_ssh(out, rows, rows.col("payload"))


def add_ssh(out: Collector, rows: Slice, text: Column) -> None:
    """sshd's own sentences as logons and failures."""
    kind = mapped(
        text,
        lambda t: (
            {"Accepted": "ssh_logon", "Failed": "logon_failure"}[m["how"]] if (m := _SSH_LINE.search(t[:600])) else None
        ),
    )
    chosen = kind.codes >= 0
    part = rows.keep(chosen)
    line = Column(text.values, text.codes[chosen])
    out.add(
        Column(kind.values, kind.codes[chosen]),
        part,
        logon_type="ssh",
        account=mapped(line, lambda t: m["user"] if (m := _SSH_LINE.search(t[:600])) else None),
        source=mapped(line, lambda t: address(m["ip"]) if (m := _SSH_LINE.search(t[:600])) else None),
    )


_HANDLERS: dict[str, Handler] = {
    **KEPT,
    **{
        f"{_SECURITY}|{code}": handler
        for code, handler in {
            "4624": _logon,
            "5140": _share,
            "5145": _share,
            "4697": _service,
            "4698": _task,
            "4702": _task,
            "4688": _process,
            "4656": _lsass_object,
            "4663": _lsass_object,
            "5156": _filtered_connection,
        }.items()
    },
    f"{_SYSTEM}|7045": _service,
    f"{_SYSMON}|1": _process,
    f"{_SYSMON}|3": _sysmon_connection,
    f"{_SYSMON}|10": _lsass,
    f"{_SYSMON}|11": _file,
    f"{_SYSMON}|13": _registry,
    f"{_SYSMON}|22": _question,
    f"{_TASKS}|106": _task,
    f"{_POWERSHELL}|4104": _script,
    f"{_POWERSHELL}|4103": _script,
    f"{_OLD_POWERSHELL}|400": _old_script,
    f"{_OLD_POWERSHELL}|800": _old_script,
    f"{_SSH}|4": _windows_ssh,
}
