"""What is done to people and organisations; every act is in the audit log, with it or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction

from hikeshi_desk.accounts import links, totp
from hikeshi_desk.accounts.models import Membership, OneTimeLink, Organisation, Passkey, Role, User
from hikeshi_desk.audit.log import record


class Refused(Exception):
    """The act can't be done; `key` is the text that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def active_person(user_id: UUID | str) -> User | None:
    return User.objects.filter(pk=user_id, is_active=True).first()


@transaction.atomic
def make_first_lead(link: OneTimeLink, *, desk: str, desk_en: str, name: str, email: str, password: str) -> User:
    """The desk and its first lead, once."""
    if not links.use_link(link) or links.has_lead():
        raise Refused("accounts.refused.link_used")
    organisation = Organisation.objects.filter(is_desk=True).first() or Organisation.objects.create(
        name=desk, name_en=desk_en, is_desk=True, kinds=["expert"])
    if User.objects.filter(email=User.objects.normalise(email)).exists():
        raise Refused("accounts.refused.email_taken")
    user = User.objects.create_user(email, password, name=name)
    Membership.objects.create(user=user, organisation=organisation, role=Role.LEAD)
    record("system", "desk.set_up", _subject(user), organisation=organisation.pk)
    return user


@transaction.atomic
def invite(by: User, *, email: str, name: str, organisation: Organisation, role: Role) -> tuple[User, str]:
    """A person without a password yet, and the path of the link that lets them choose one."""
    _check_role(organisation, role)
    if User.objects.filter(email=User.objects.normalise(email)).exists():
        raise Refused("accounts.refused.email_taken")
    user = User.objects.create_user(email, None, name=name)
    Membership.objects.create(user=user, organisation=organisation, role=role)
    path = links.make_link(OneTimeLink.Purpose.INVITE, user)
    record(_actor(by), "person.invited", _subject(user), organisation=organisation.pk, role=role)
    return user, path


@transaction.atomic
def choose_password(link: OneTimeLink, password: str, *, name: str = "") -> User:
    """The invited person's, or a forgotten password's, new one; the link is used up and sessions end."""
    user = link.user
    if user is None or not links.use_link(link):
        raise Refused("accounts.refused.link_used")
    user.set_password(password)
    user.name = name or user.name
    user.save(update_fields=["password", "name"])
    user.end_sessions()
    record(_actor(user), f"password.by_{link.purpose}", _subject(user))
    return user


@transaction.atomic
def change_password(user: User, password: str) -> None:
    user.set_password(password)
    user.save(update_fields=["password"])
    user.end_sessions()
    record(_actor(user), "password.changed", _subject(user))


@transaction.atomic
def reset_link(by: User, user: User) -> str:
    if not user.is_active:
        raise Refused("accounts.refused.inactive")
    purpose = OneTimeLink.Purpose.RESET if user.has_usable_password() else OneTimeLink.Purpose.INVITE
    record(_actor(by), "person.link_made", _subject(user), purpose=purpose)
    return links.make_link(purpose, user)


@transaction.atomic
def give_role(by: User, user: User, organisation: Organisation, role: Role) -> None:
    _check_role(organisation, role)
    _, new = Membership.objects.get_or_create(user=user, organisation=organisation, role=role)
    if new:
        user.end_sessions()
        record(_actor(by), "role.given", _subject(user), organisation=organisation.pk, role=role)


@transaction.atomic
def take_role(by: User, membership: Membership) -> None:
    user = membership.user
    if membership.role == Role.LEAD and membership.organisation.is_desk:
        _keep_a_lead(without=[membership.pk])
    membership.delete()
    user.end_sessions()
    record(_actor(by), "role.taken", _subject(user), organisation=membership.organisation_id, role=membership.role)


@transaction.atomic
def deactivate(by: User, user: User) -> None:
    """The person can't sign in; every session ends at once, and does not come back with the person."""
    _keep_a_lead(without=Membership.objects.filter(user=user).values_list("pk", flat=True))
    User.objects.filter(pk=user.pk).update(is_active=False)
    OneTimeLink.objects.filter(user=user, used_at=None).delete()
    user.end_sessions()
    record(_actor(by), "person.deactivated", _subject(user))


@transaction.atomic
def reactivate(by: User, user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=True)
    record(_actor(by), "person.reactivated", _subject(user))


@transaction.atomic
def remove_second_factor(by: User, user: User) -> None:
    """The authenticator app; other sessions end."""
    totp.remove(user)
    user.end_sessions()
    record(_actor(by), "second_factor.removed", _subject(user))


@transaction.atomic
def remove_every_factor(by: User, user: User) -> None:
    """For somebody who lost phone and keys: app, passkeys and recovery codes go, and every session."""
    Passkey.objects.filter(user=user).delete()
    remove_second_factor(by, user)


@transaction.atomic
def remove_passkey(user: User, passkey: Passkey) -> None:
    record(_actor(user), "passkey.removed", _subject(user), passkey=passkey.pk)
    passkey.delete()
    totp.forget_codes(user)
    user.end_sessions()


@transaction.atomic
def rename_passkey(user: User, passkey: Passkey, name: str) -> None:
    passkey.name = name
    passkey.save(update_fields=["name"])
    record(_actor(user), "passkey.renamed", _subject(user), passkey=passkey.pk)


@transaction.atomic
def end_sessions(by: User, user: User) -> None:
    user.end_sessions()
    record(_actor(by), "sessions.ended", _subject(user))


@transaction.atomic
def add_organisation(by: User, *, name: str, name_en: str, kinds: list[str]) -> Organisation:
    organisation = Organisation.objects.create(name=name, name_en=name_en, kinds=kinds)
    record(_actor(by), "organisation.added", f"organisation:{organisation.pk}")
    return organisation


def _keep_a_lead(*, without: Iterable[int]) -> None:
    left = Membership.objects.select_for_update().filter(
        role=Role.LEAD, organisation__is_desk=True, user__is_active=True).exclude(pk__in=list(without))
    if not any(membership.user.has_usable_password() for membership in left.select_related("user")):
        raise Refused("accounts.refused.last_lead")


def _check_role(organisation: Organisation, role: Role) -> None:
    if role in (Role.HANDLER, Role.LEAD, Role.AUDITOR) and not organisation.is_desk:
        raise Refused("accounts.refused.desk_role")


def _actor(user: User) -> str:
    return str(user.pk)


def _subject(user: User) -> str:
    return f"user:{user.pk}"


def names_of(ids: Iterable[str]) -> dict[str, str]:
    """People's names by id, for the audit log; what is no id is passed over."""
    wanted = []
    for text in ids:
        try:
            wanted.append(UUID(text))
        except ValueError:
            continue
    return {str(pk): name for pk, name in User.objects.filter(pk__in=wanted).values_list("pk", "name")}
