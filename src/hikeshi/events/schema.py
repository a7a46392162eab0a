"""Every column of the event table: the one source of truth.

Names are Elastic Common Schema (ECS) names, flat. docs/events.md is generated from here.
A column that a record has no value for is null. What has no column here goes into the map
column `fields` under the record's own name (Windows EventData names unchanged).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["string", "int", "time"]


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    name: str
    type: ColumnType
    meaning: str


def _strings(*pairs: tuple[str, str]) -> tuple[ColumnSpec, ...]:
    return tuple(ColumnSpec(name, "string", meaning) for name, meaning in pairs)


def _ints(*pairs: tuple[str, str]) -> tuple[ColumnSpec, ...]:
    return tuple(ColumnSpec(name, "int", meaning) for name, meaning in pairs)


TIME = "@timestamp"

COLUMNS: tuple[ColumnSpec, ...] = (
    ColumnSpec(TIME, "time", "When it happened: UTC, microseconds. Null where the record's time can't be read"),
    *_strings(
        ("event.timezone", "Zone the record's time was read with: an offset, a zone name, or `Asia/Tokyo (assumed)`"),
        ("event.dataset", "Parser and log: windows.security, squid.access, fortinet.traffic, linux.auth"),
        ("event.category", "ECS category: authentication, network, web, process, file, iam, configuration"),
        ("event.action", "What was done, in the log's own word"),
        ("event.outcome", "success, failure or unknown"),
        ("event.code", "The log's number for this kind of event (Windows EventID, FortiGate logid)"),
        ("event.provider", "Windows event provider"),
        ("event.original_time", "The time as written, kept where it can't be read"),
        ("winlog.channel", "Windows event channel"),
    ),
    *_ints(("winlog.record_id", "Windows EventRecordID")),
    *_strings(
        ("winlog.level", "Windows level number"),
        ("winlog.keywords", "Windows keywords, hexadecimal"),
        ("winlog.task", "Windows task number"),
        ("winlog.opcode", "Windows opcode number"),
        ("winlog.version", "Windows event version"),
        ("winlog.user.identifier", "SID in the System part of a Windows event"),
        ("winlog.activity_id", "Correlation ActivityID"),
        ("winlog.process.pid", "Process that wrote the Windows event"),
        ("winlog.process.thread.id", "Thread that wrote the Windows event"),
        ("host.name", "Machine the event is about (forwarded logs: the original machine), as written"),
        ("user.name", "Account that acted or was acted on, without domain"),
        ("user.domain", "Its domain"),
        ("source.ip", "Address of the client or the origin of the logon"),
    ),
    *_ints(("source.port", "Its port")),
    *_strings(("source.domain", "Name of the client or workstation")),
    *_ints(("source.bytes", "Bytes the client sent out")),
    *_strings(("destination.ip", "Address of the server")),
    *_ints(("destination.port", "Its port")),
    *_strings(("destination.domain", "Name of the server, without port")),
    *_ints(("destination.bytes", "Bytes the client got back")),
    *_strings(
        ("url.full", "The whole URL; `host:port` for CONNECT"),
        ("http.request.method", "GET, POST, CONNECT"),
    ),
    *_ints(("http.response.status_code", "HTTP status")),
    *_strings(
        ("dns.question.name", "Name asked for"),
        ("network.protocol", "Protocol"),
        ("user_agent.original", "User agent as sent"),
        ("process.name", "File name of the program"),
        ("process.executable", "Path of the program"),
        ("process.command_line", "Command line"),
    ),
    *_ints(("process.pid", "Process number")),
    *_strings(
        ("process.parent.name", "File name of the parent program"),
        ("process.parent.executable", "Path of the parent program"),
        ("process.parent.command_line", "Its command line"),
        ("file.path", "File the event is about"),
        ("file.hash.md5", "MD5, lower case"),
        ("file.hash.sha1", "SHA-1, lower case"),
        ("file.hash.sha256", "SHA-256, lower case"),
        ("rule.name", "Name of the rule that made the device write this"),
        ("observer.name", "Device that wrote the log"),
        ("message", "The record as text, where it has no finer structure"),
        ("log.file.path", "File it came from"),
    ),
    *_ints(
        ("log.offset", "Byte offset of the record in its file (text logs, recovered records)"),
        ("log.line", "Line number from 1 (text logs)"),
    ),
    *_strings(
        ("hikeshi.recovered", "Only for Windows records that no reader of the log shows: `slack` (left over behind a "
                              "chunk's records), `damaged` (in a part that can't be read as it should), `carved` (in a "
                              "file that is no log)"),
        ("hikeshi.lacks", "What a recovered record lacks, in words. Null where it is whole"),
    ),
)

BY_NAME: dict[str, ColumnSpec] = {c.name: c for c in COLUMNS}
NAMES: frozenset[str] = frozenset(BY_NAME)
FIELDS = "fields"  # the map column for everything else
