"""Mail as a part of the running desk: listeners, polling and sending in threads, until stop()."""

from __future__ import annotations

import logging
import threading

from django.db import close_old_connections, connections

from hikeshi_desk.mail import store
from hikeshi_desk.mail.imap import poll
from hikeshi_desk.mail.listen import listeners
from hikeshi_desk.mail.post import Post, load_post
from hikeshi_desk.mail.receive import resume
from hikeshi_desk.mail.send import queue_closings, queue_replies, send_waiting

log = logging.getLogger(__name__)
_SEND_EVERY_S = 5.0


class MailService:
    """start() takes up what a stop left behind, then opens the channels; stop() waits for the mail in hand."""

    def __init__(self, post: Post | None = None) -> None:
        self._post = post or load_post()
        self._stopping = threading.Event()
        self._listeners = listeners(self._post)
        self._threads = [threading.Thread(target=self._repeat, args=(work, every_s), name=name) for work, every_s, name
                         in ((self._fetch, self._post.every_s, "mail-fetch"), (self._send, _SEND_EVERY_S, "mail-send"))]

    def start(self) -> None:
        store.clear_unfinished()
        resume()
        for listener in self._listeners:
            listener.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for listener in self._listeners:
            listener.stop()
        for thread in self._threads:
            thread.join()

    def _fetch(self) -> None:
        poll(self._post)
        resume()

    @staticmethod
    def _send() -> None:
        queue_replies()
        queue_closings()
        send_waiting()

    def _repeat(self, work: object, every_s: float) -> None:
        assert callable(work)
        try:
            while not self._stopping.is_set():
                close_old_connections()
                try:
                    work()
                except Exception:  # the edge of the stage: the next round is a new chance
                    log.exception("a round of mail work failed")
                self._stopping.wait(every_s)
        finally:
            connections.close_all()
