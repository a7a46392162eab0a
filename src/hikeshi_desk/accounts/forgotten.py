"""A forgotten password: asked for by anybody, answered to the person's own address only.

The page does the same for every address: it counts, seals the address and leaves a job behind. Only the job looks
whether somebody has it, so neither the answer nor its time tells. The sealed address is useless after an hour.
"""

from __future__ import annotations

import ipaddress
import json
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.http import HttpRequest

from hikeshi_desk.accounts import attempts, links, outbox
from hikeshi_desk.accounts.models import OneTimeLink, User, UserManager
from hikeshi_desk.accounts.sealed import seal, unsealed
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record

PER_ADDRESS, PER_SOURCE, WITHIN = 3, 10, timedelta(hours=1)
_SALT = "hikeshi_desk.accounts.forgotten"


def ask(request: HttpRequest, email: str) -> None:
    """Leave the job behind, within the budget of the address and of where the request came from."""
    from hikeshi_desk.accounts.tasks import answer_forgotten

    canonical = UserManager.normalise(email)[:254]
    by_source = attempts.within(f"forgotten source {_source(request)}", PER_SOURCE, WITHIN)
    by_address = attempts.within(f"forgotten address {canonical}", PER_ADDRESS, WITHIN)
    if by_source and by_address:
        scheme = "https" if settings.HTTPS or request.is_secure() else "http"
        told = json.dumps([canonical, f"{scheme}://{request.get_host()}"])
        answer_forgotten.enqueue(seal(signing.TimestampSigner(salt=_SALT).sign(told)))


def unseal(sealed: str) -> tuple[str, str] | None:
    """The address and the desk's own; None when it waited for more than an hour."""
    try:
        email, site = json.loads(signing.TimestampSigner(salt=_SALT).unsign(unsealed(sealed) or "", max_age=WITHIN))
    except (signing.BadSignature, ValueError):
        return None
    return email, site


def send_link(email: str, site: str) -> None:
    """To the active person with this address; an invited one gets the invitation again."""
    user = User.objects.filter(email=email, is_active=True).first()
    if user is None:
        return
    # Somebody invited chooses a first password by the invitation's own page.
    purpose = OneTimeLink.Purpose.RESET if user.has_usable_password() else OneTimeLink.Purpose.INVITE
    path = links.make_link(purpose, user, good_for=WITHIN)
    record("system", "password.link_mailed", f"user:{user.pk}")
    outbox.send(user.email, text("accounts.forgotten.subject", language=user.language),
                text("accounts.forgotten.body", language=user.language, link=f"{site}{path}"))



def _source(request: HttpRequest) -> str:
    """Where a request came from, only to be hashed: an IPv6 neighbourhood counts as one."""
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return "unknown"
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
