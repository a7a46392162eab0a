"""Every error Hikeshi raises on purpose, as one tree.

HikeshiError                    location, hint, exit code
├── UsageError                  the call itself is wrong (exit 2)
├── InputError                  what was given can't be read (exit 3)
│   ├── UnsupportedFormat       no parser knows these bytes
│   ├── DamagedInput            the format is known, this part of it is broken
│   ├── LimitExceeded           too large, too deep, too many: refused on purpose
│   └── UnsafeArchive           an archive entry that points outside, or that lies
├── RuleError                   a detection rule that can't be used
├── IndicatorError              an indicator list that can't be used
├── KnowledgeError              a knowledge file that is malformed or tampered with
├── ChildError                  a parsing child died; its file is lost, nothing else
│   ├── ChildTimeout            it ran longer than allowed
│   └── ChildKilled             it hit the CPU or memory limit, or crashed
├── OutputError                 the result can't be written
└── RemoteError                 a desk can't be reached, or said no

A crash without one of these names is a bug of ours and shows its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """Where in the evidence, rule or list something is."""

    path: str
    line: int | None = None
    record: int | None = None

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.path}, line {self.line}"
        if self.record is not None:
            return f"{self.path}, record {self.record}"
        return self.path


class HikeshiError(Exception):
    """Root of all errors raised on purpose: what was wrong, where, and what to do next."""

    exit_code = 4

    def __init__(self, what: str, *, source: Location | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.source = source
        self.hint = hint

    def __str__(self) -> str:
        where = f" ({self.source})" if self.source else ""
        advice = f"\n  Next: {self.hint}" if self.hint else ""
        return f"{self.what}{where}{advice}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders; keyword-only fields would be lost by the default.
        return _rebuild, (type(self), self.what, self.source, self.hint)


def _rebuild(kind: type[HikeshiError], what: str, source: Location | None, hint: str | None) -> HikeshiError:
    return kind(what, source=source, hint=hint)


class UsageError(HikeshiError):
    exit_code = 2


class InputError(HikeshiError):
    exit_code = 3


class UnsupportedFormat(InputError):
    """No parser recognises the content."""


class DamagedInput(InputError):
    """The format is known, but this part of it is broken."""


class LimitExceeded(InputError):
    """Refused on purpose: larger, deeper or more numerous than the limits allow."""


class UnsafeArchive(InputError):
    """An archive entry that would leave its folder, or that contradicts itself."""


class RuleError(HikeshiError):
    exit_code = 2


class IndicatorError(HikeshiError):
    exit_code = 2


class KnowledgeError(HikeshiError):
    exit_code = 3


class ChildError(HikeshiError):
    """A parsing child did not finish; only the file it was reading is affected."""

    exit_code = 3


class ChildTimeout(ChildError):
    """The child ran longer than its wall-clock limit."""


class ChildKilled(ChildError):
    """The child hit its CPU or memory limit, or crashed."""


class OutputError(HikeshiError):
    exit_code = 4


class RemoteError(HikeshiError):
    """An address the user gave: out of reach, not to be trusted, or it refused."""

    exit_code = 4
