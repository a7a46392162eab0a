"""What templates know of mail: how many mails wait in quarantine, and the desk's public key. Asked only where shown."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from hikeshi_desk.accounts.access import viewer_of, visible
from hikeshi_desk.mail import keys
from hikeshi_desk.mail.models import ReceivedMail


def post_office(request: HttpRequest) -> dict[str, object]:
    def waiting() -> int:
        apart = ReceivedMail.State.QUARANTINED
        return int(visible(ReceivedMail, viewer_of(request)).filter(state=apart).count())
    return {"mails_apart": SimpleLazyObject(waiting), "pgp_key": SimpleLazyObject(keys.own)}
