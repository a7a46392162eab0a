"""Mails opened one after another in one limited child, which is replaced when a mail kills it."""

from __future__ import annotations

import queue
import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from hikeshi.errors import ChildError, HikeshiError, LimitExceeded
from hikeshi.evidence.mail import Mail, MailLimits, decode_mail
from hikeshi.evidence.mail_pgp import Keyring
from hikeshi.evidence.sandbox import Limits, Outcome, Task, run

CHILD = Limits(cpu_s=10, wall_s=60, memory_bytes=512 * 2**20, file_bytes=200 * 2**20)
_Order = tuple[Path, Path, MailLimits, Keyring | None]


def decode_in_child(_: None, order: _Order) -> Mail:
    """What runs on the other side: one mail's bytes to data and files."""
    raw, folder, limits, ring = order
    if raw.stat().st_size > limits.mail_bytes:
        raise LimitExceeded(f"the mail has more than {limits.mail_bytes:,} bytes",
                            hint="the mail is kept unread; look at it by hand")
    return decode_mail(raw.read_bytes(), limits, folder, ring)


class MailReader:
    """Opens mails of the folder `raw`; their files go to fresh folders in `work`.

    with MailReader(raw, work) as reader:
        mail, folder = reader.read(path)

    `read` may be called from several threads; mails are opened one at a time. Raises the
    HikeshiError of a mail that can't be opened (LimitExceeded, ChildKilled, ChildTimeout,
    ChildError): its folder is gone then, the reader goes on. The caller removes good folders.
    """

    def __init__(self, raw: Path, work: Path, limits: MailLimits | None = None, child: Limits = CHILD) -> None:
        self._raw, self._work, self._limits, self._child = raw, work, limits or MailLimits(), child
        self._one_at_a_time = threading.Lock()
        self._orders: queue.Queue[Task | None] = queue.Queue()
        self._outcomes: Iterator[Outcome] | None = None

    def __enter__(self) -> MailReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the child. The reader starts another if it is used again."""
        with self._one_at_a_time:
            self._end()

    def read(self, path: Path, ring: Keyring | None = None) -> tuple[Mail, Path]:
        """With `ring` in a child that ends afterwards: no later mail runs beside the desk's key."""
        folder = self._work / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            with self._one_at_a_time:
                outcome = self._ask(Task(folder.name, (path.resolve(), folder.resolve(), self._limits, ring)))
                if ring is not None:
                    self._end()
            if outcome.error is not None:
                raise outcome.error
            if not isinstance(outcome.value, Mail):
                raise ChildError("the parsing child did not answer with a mail",
                                 hint="treat the mail as hostile; it is kept unread")
            return outcome.value, folder
        except HikeshiError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _ask(self, task: Task) -> Outcome:
        if self._outcomes is None:
            self._orders = queue.Queue()
            self._outcomes = run("hikeshi.evidence.mail_reader:decode_in_child", iter(self._orders.get, None),
                                 workers=1, limits=self._child, readable=[self._raw], writable=[self._work])
        self._orders.put(task)
        try:
            outcome = next(self._outcomes)
        except BaseException:
            self._end()
            raise
        if outcome.error is not None:  # whatever it was: the next mail gets a fresh child
            self._end()
        return outcome

    def _end(self) -> None:
        if self._outcomes is not None:
            self._orders.put(None)
            for _ in self._outcomes:
                pass
            self._outcomes = None
