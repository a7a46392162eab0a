"""Windows events that were exported as XML or JSON: the same columns as EVTX gives.

Every shape is first brought to that of the `evtx` package (System, EventData, UserData), then
goes through the same code as binary logs (evtx_batch.EvtxBatch).
Shapes of JSON: evtx_dump, winlogbeat, NXLog, flattened (one level, as hunting tools write it),
PowerShell's ConvertTo-Json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from hikeshi.errors import DamagedInput
from hikeshi.events.table import Column, EventTable, encode
from hikeshi.events.time import NO_TIME, format_utc
from hikeshi.parse.context import Context, Event
from hikeshi.parse.evtx_batch import EvtxBatch
from hikeshi.parse.stamps import stamp
from hikeshi.parse.windows import add_ecs_columns, dataset_of

# What NXLog's im_msvistalog adds of its own; everything else in its records is EventData.
_NXLOG = frozenset(
    [
        "EventTime",
        "EventReceivedTime",
        "Hostname",
        "Keywords",
        "EventType",
        "SeverityValue",
        "Severity",
        "EventID",
        "SourceName",
        "ProviderGuid",
        "Version",
        "Task",
        "OpcodeValue",
        "RecordNumber",
        "ActivityID",
        "RelatedActivityID",
        "ProcessID",
        "ThreadID",
        "Channel",
        "Domain",
        "AccountName",
        "UserID",
        "AccountType",
        "Message",
        "Category",
        "Opcode",
        "SourceModuleName",
        "SourceModuleType",
        "ExecutionProcessID",
    ]
)
# System parts as flattening tools name them.
_FLAT = frozenset(
    [
        "Channel",
        "Computer",
        "EventID",
        "EventRecordID",
        "Provider_Name",
        "Provider_Guid",
        "ProviderName",
        "ProviderGuid",
        "Provider",
        "Guid",
        "Name",
        "SystemTime",
        "TimeCreated",
        "TimeCreated_SystemTime",
        "Level",
        "Task",
        "Opcode",
        "Keywords",
        "Version",
        "Execution_ProcessID",
        "Execution_ThreadID",
        "ExecutionProcessID",
        "ExecutionThreadID",
        "ThreadID",
        "Security_UserID",
        "SecurityUserID",
        "Correlation_ActivityID",
        "CorrelationActivityID",
        "ActivityID",
        "Qualifiers",
        "EventID_Qualifiers",
        "EventSourceName",
        "xmlns",
    ]
)


class Shaped:
    """One event in the evtx package's shape, and its zone where the record had none of its own."""

    __slots__ = ("event", "zone")

    def __init__(self, event: dict[str, Any], zone: str = "UTC") -> None:
        self.event = event
        self.zone = zone


def shape(record: Mapping[str, Any], context: Context) -> Shaped | None:
    """A JSON object in the evtx package's shape; None if it is no Windows event."""
    event = record.get("Event")
    if isinstance(event, dict) and isinstance(event.get("System"), dict):
        return Shaped(event)
    if isinstance(record.get("System"), dict) and ("EventData" in record or "UserData" in record):
        return Shaped(dict(record))
    if isinstance(record.get("winlog"), dict) or "winlog.channel" in record:
        return _winlogbeat(record, context)
    if "EventID" in record and "Channel" in record:
        if "Hostname" in record and "Computer" not in record:
            return _nxlog(record, context)
        if not _FLAT.isdisjoint(record.keys() - {"EventID", "Channel"}):
            return _flattened(record, context)
    if "LogName" in record and "ProviderName" in record and "Id" in record:
        return _powershell(record, context)
    return None


def is_windows(record: Mapping[str, Any]) -> bool:
    return shape(record, Context()) is not None


def _system(
    *,
    code: object,
    channel: object,
    computer: object,
    provider: object,
    guid: object = None,
    record_id: object = None,
    time: str | None = None,
    level: object = None,
    task: object = None,
    opcode: object = None,
    keywords: object = None,
    version: object = None,
    process: object = None,
    thread: object = None,
    user: object = None,
    activity: object = None,
) -> dict[str, Any]:
    return {
        "Provider": {"#attributes": _present({"Name": provider, "Guid": guid})},
        "EventID": code,
        "Version": version,
        "Level": level,
        "Task": task,
        "Opcode": opcode,
        "Keywords": keywords,
        "TimeCreated": {"#attributes": _present({"SystemTime": time})},
        "EventRecordID": record_id,
        "Correlation": {"#attributes": _present({"ActivityID": activity})},
        "Execution": {"#attributes": _present({"ProcessID": process, "ThreadID": thread})},
        "Channel": channel,
        "Computer": computer,
        "Security": {"#attributes": _present({"UserID": user})},
    }


def _present(pairs: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in pairs.items() if v is not None}


def _when(text: object, context: Context) -> tuple[str | None, str]:
    """SystemTime in UTC and the zone it was read with."""
    if text is None or text == "":
        return None, "UTC"
    found = stamp(str(text).strip(), context)
    if found is None or found.time == NO_TIME:
        return None, "UTC"
    return format_utc(found.time), found.zone


def _winlogbeat(record: Mapping[str, Any], context: Context) -> Shaped | None:
    nested = _nest(record)
    log = nested.get("winlog")
    if not isinstance(log, dict) or not (log.get("channel") or log.get("provider_name")):
        return None
    process = log.get("process") if isinstance(log.get("process"), dict) else {}
    assert isinstance(process, dict)
    thread = process.get("thread") if isinstance(process.get("thread"), dict) else {}
    user = log.get("user") if isinstance(log.get("user"), dict) else {}
    event_part = nested.get("event") if isinstance(nested.get("event"), dict) else {}
    assert isinstance(thread, dict) and isinstance(user, dict) and isinstance(event_part, dict)
    time, zone = _when(record.get("@timestamp") or event_part.get("created"), context)
    system = _system(
        code=_first(log.get("event_id"), event_part.get("code")),
        channel=log.get("channel"),
        computer=log.get("computer_name"),
        provider=log.get("provider_name"),
        guid=log.get("provider_guid"),
        record_id=_number(log.get("record_id")),
        time=time,
        level=log.get("level"),
        task=log.get("task"),
        opcode=log.get("opcode"),
        keywords=_keywords(log.get("keywords")),
        version=log.get("version"),
        process=_text(process.get("pid")),
        thread=_text(thread.get("id")),
        user=user.get("identifier"),
        activity=log.get("activity_id"),
    )
    out: dict[str, Any] = {"System": system, "EventData": log.get("event_data") or None}
    if log.get("user_data"):
        data = log["user_data"]
        out["UserData"] = (
            {"Record": {k: v for k, v in data.items() if k != "xml_name"}} if isinstance(data, dict) else data
        )
    if nested.get("message"):
        out["RenderingInfo"] = {"Message": nested["message"]}
    return Shaped(out, zone)


def _nxlog(record: Mapping[str, Any], context: Context) -> Shaped:
    time, zone = _when(record.get("EventTime"), context)
    utc = record.get("UtcTime")
    if utc and zone == context.zone_label:
        # Sysmon's own UtcTime says what the collector's local EventTime can't.
        exact, own = _when(f"{utc}Z", context)
        if exact:
            time, zone = exact, own
    data = {k: v for k, v in record.items() if k not in _NXLOG and v is not None}
    for name in ("Domain", "AccountName", "AccountType", "EventType", "Category", "Severity", "EventReceivedTime"):
        if record.get(name) is not None:
            data[f"nxlog.{name}"] = record[name]
    out = {
        "System": _system(
            code=record.get("EventID"),
            channel=record.get("Channel"),
            computer=record.get("Hostname"),
            provider=record.get("SourceName"),
            guid=_guid(record.get("ProviderGuid")),
            record_id=_number(record.get("RecordNumber")),
            time=time,
            task=record.get("Task"),
            opcode=record.get("OpcodeValue"),
            keywords=_keywords(record.get("Keywords")),
            version=record.get("Version"),
            process=_text(_first(record.get("ExecutionProcessID"), record.get("ProcessID"))),
            thread=_text(record.get("ThreadID")),
            user=record.get("UserID"),
            activity=record.get("ActivityID"),
        ),
        "EventData": data,
    }
    if record.get("Message"):
        out["RenderingInfo"] = {"Message": record["Message"]}
    return Shaped(out, zone)


def _flattened(record: Mapping[str, Any], context: Context) -> Shaped:
    def get(*names: str) -> Any:
        return _first(*(record.get(n) for n in names))

    time, zone = _when(get("SystemTime", "TimeCreated_SystemTime", "TimeCreated", "@timestamp"), context)
    data = {k: v for k, v in record.items() if k not in _FLAT and k != "@timestamp" and v is not None}
    # "ProcessID" in capitals is the System part's; EventData writes ProcessId.
    return Shaped(
        {
            "System": _system(
                code=get("EventID"),
                channel=get("Channel"),
                computer=get("Computer"),
                provider=get("Provider_Name", "ProviderName", "Provider", "Name"),
                guid=get("Provider_Guid", "ProviderGuid", "Guid"),
                record_id=_number(get("EventRecordID")),
                time=time,
                level=get("Level"),
                task=get("Task"),
                opcode=get("Opcode"),
                keywords=_keywords(get("Keywords")),
                version=get("Version"),
                process=_text(_first(get("Execution_ProcessID", "ExecutionProcessID"), data.pop("ProcessID", None))),
                thread=_text(get("Execution_ThreadID", "ExecutionThreadID", "ThreadID")),
                user=_first(get("Security_UserID", "SecurityUserID"), data.pop("UserID", None)),
                activity=get("Correlation_ActivityID", "CorrelationActivityID", "ActivityID"),
            ),
            "EventData": data,
        },
        zone,
    )


def _powershell(record: Mapping[str, Any], context: Context) -> Shaped:
    time, zone = _when(record.get("TimeCreated"), context)
    values = record.get("Properties")
    data: dict[str, Any] = {}
    if isinstance(values, list):
        data["Data"] = {"#text": [str(v.get("Value", "")) if isinstance(v, dict) else str(v) for v in values]}
    for name in ("LevelDisplayName", "TaskDisplayName"):
        if record.get(name):
            data[name] = record[name]
    user = record.get("UserId")
    out: dict[str, Any] = {
        "System": _system(
            code=record.get("Id"),
            channel=record.get("LogName"),
            computer=record.get("MachineName"),
            provider=record.get("ProviderName"),
            guid=_guid(record.get("ProviderId")),
            record_id=_number(record.get("RecordId")),
            time=time,
            level=record.get("Level"),
            task=record.get("Task"),
            opcode=record.get("Opcode"),
            keywords=_keywords(record.get("Keywords")),
            version=record.get("Version"),
            process=_text(record.get("ProcessId")),
            thread=_text(record.get("ThreadId")),
            user=user.get("Value") if isinstance(user, dict) else user,
            activity=record.get("ActivityId"),
        ),
        "EventData": data,
    }
    if record.get("Message"):
        out["RenderingInfo"] = {"Message": record["Message"]}
    return Shaped(out, zone)


def _nest(record: Mapping[str, Any]) -> dict[str, Any]:
    """{"winlog.event_data.Image": 1} as nested objects; nested input stays as it is."""
    out: dict[str, Any] = {}
    for key, value in record.items():
        parts = key.split(".") if key.startswith(("winlog.", "event.")) else [key]
        at = out
        for part in parts[:-1]:
            inner = at.setdefault(part, {})
            if not isinstance(inner, dict):
                break
            at = inner
        else:
            at.setdefault(parts[-1], value)
    return out


def _first(*values: Any) -> Any:
    return next((v for v in values if v is not None and v != ""), None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _guid(value: object) -> str | None:
    return None if value is None else str(value).strip("{}")


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 2**63 else None
    text = str(value or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _keywords(value: object) -> object:
    """0x8020000000000000, also from the signed number that collectors write."""
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value & (2**64 - 1))
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value):
        return hex(int(value) & (2**64 - 1))
    return value if isinstance(value, str) else None


# ---- shaped events to tables ---------------------------------------------------------------


class WindowsBatch:
    """Collects shaped events with their place in the file and makes EventTables of them."""

    def __init__(self) -> None:
        self._batch = EvtxBatch()
        self._texts: list[dict[str, Any]] = []
        self._lines: list[int] = []
        self._offsets: list[int] = []
        self._zones: list[str] = []

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, shaped: Shaped, line: int, offset: int) -> bool:
        """False if the event lacks what every Windows event has."""
        system = shaped.event.get("System")
        if not isinstance(system, dict) or system.get("EventID") is None:
            return False
        system.setdefault("Channel", None)
        # EvtxBatch reads parts beside System and EventData only where there are more than three.
        shaped.event.setdefault("#attributes", {})
        text = orjson.dumps(_plain(shaped.event), default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        self._texts.append({"data": '{"Event":' + text + "}", "event_record_id": _record_id(system), "timestamp": ""})
        self._lines.append(line)
        self._offsets.append(offset)
        self._zones.append(shaped.zone)
        return True

    def build(self) -> EventTable:
        for _ in self._batch.consume(iter(self._texts)):
            continue
        table = self._batch.build()
        count = table.row_count
        if count != len(self._texts):
            raise DamagedInput("an event was lost between reading and tabling")
        if count:
            order = np.arange(count, dtype=np.int32)
            table.columns["log.line"] = encode(self._lines)
            table.columns["log.offset"] = Column(list(self._offsets), order)
            table.columns["event.timezone"] = encode(self._zones)
            if len(set(self._offsets)) != count:
                table.columns["log.offset"] = encode(self._offsets)
        self._texts, self._lines, self._offsets, self._zones = [], [], [], []
        return table


def _plain(value: Any) -> Any:
    """Numbers JSON can't hold and half characters made harmless, elsewhere unchanged."""
    if isinstance(value, dict):
        return {_plain(k) if isinstance(k, str) else str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


def _record_id(system: Mapping[str, Any]) -> int:
    value = system.get("EventRecordID")
    if isinstance(value, dict):
        value = value.get("#text")
    number = _number(value)
    return number if number is not None and number >= 0 else 0


def single(shaped: Shaped) -> Event | None:
    """One event as a row of its own, for Windows events among other lines."""
    batch = WindowsBatch()
    if not batch.add(shaped, 0, 0):
        return None
    table = batch.build()
    add_ecs_columns(table)
    cells = {
        name: column.to_list(1)[0]
        for name, column in (*table.columns.items(), *table.fields.items())
        if name not in ("log.line", "log.offset")
    }
    channel = cells.get("winlog.channel")
    cells["event.dataset"] = dataset_of(channel) if channel else "windows"
    return Event(int(table.times[0]), cells)
