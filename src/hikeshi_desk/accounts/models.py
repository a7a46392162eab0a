"""Organisations, people, memberships and the desk's groups."""

from __future__ import annotations

import unicodedata
import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils.crypto import salted_hmac


class OrganisationKind(models.TextChoices):
    """The roles of the field; one organisation may hold several."""

    VICTIM = "victim", "被害組織"
    FIRST_RESPONDER = "first_responder", "ファーストレスポンダー"
    EXPERT = "expert", "専門組織"
    COORDINATOR = "coordinator", "調整機関（JPCERT/CCなど）"
    AUTHORITY = "authority", "監督官庁"
    RESEARCHER = "researcher", "研究者"
    FOREIGN_CSIRT = "foreign_csirt", "海外CSIRT"


class Role(models.TextChoices):
    """What a person may do. Handler, lead and auditor belong to the desk; partner and reader may be outside."""

    HANDLER = "handler", "担当者"
    LEAD = "lead", "責任者"
    READER = "reader", "閲覧者"
    PARTNER = "partner", "連携先"
    AUDITOR = "auditor", "監査者"


class Organisation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    name_en = models.CharField(max_length=200, blank=True)
    kinds = models.JSONField(default=list)  # of OrganisationKind
    is_desk = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> User:
        """E-mail is the name people sign in with; it is kept in one spelling."""
        user = self.model(email=self.normalise(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    @staticmethod
    def normalise(email: str) -> str:
        # Twice: folding case can give signs that have a compatible spelling themselves.
        folded = unicodedata.normalize("NFKC", email).strip().casefold()
        return unicodedata.normalize("NFKC", folded).casefold()

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=self.normalise(username or ""))


class User(AbstractBaseUser):
    """A person of the desk or of a partner. Consultees have no account: they have a receipt code."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=100)
    language = models.CharField(max_length=5, default="ja")
    zone = models.CharField(max_length=64, default="Asia/Tokyo")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # Part of every session's hash: one more, and all sessions of the person are over.
    session_epoch = models.PositiveIntegerField(default=0)

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        return salted_hmac("hikeshi_desk.accounts.session", f"{self.session_epoch}:{self.password}",
                           secret=secret, algorithm="sha256").hexdigest()

    def end_sessions(self) -> None:
        """Every session of this person stops working with its next request."""
        User.objects.filter(pk=self.pk).update(session_epoch=models.F("session_epoch") + 1)
        self.refresh_from_db(fields=["session_epoch"])


class Membership(models.Model):
    """A person's role in an organisation."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "organisation", "role"], name="one_membership_each")]


class Team(models.Model):
    """A group inside the desk: early warning, incident response, policy."""

    name = models.CharField(max_length=100, unique=True)
    name_en = models.CharField(max_length=100, blank=True)
    members = models.ManyToManyField(User, related_name="teams", blank=True)
    is_on_call = models.BooleanField(default=False)


class OneTimeLink(models.Model):
    """A link that works once: set-up of the desk (no user), invitation, new password.

    Only the token's HMAC is kept; the link itself is shown once, to the person who made it.
    """

    class Purpose(models.TextChoices):
        SETUP = "setup", "初期設定"
        INVITE = "invite", "招待"
        RESET = "reset", "パスワード再設定"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="links")
    token = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)


class SecondFactor(models.Model):
    """A person's authenticator app. `secret` is encrypted with the desk's key; it counts once confirmed."""

    user = models.OneToOneField(User, models.CASCADE, related_name="second_factor")
    secret = models.TextField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_step = models.BigIntegerField(default=0)  # a code is good once, and no older one after it


class Passkey(models.Model):
    """A WebAuthn credential of a person; it proves possession and, by PIN or finger, who holds it.

    `credential` is the attested credential data (key id and public key) as the device gave it; `rp_id` the host
    name it was made for. A passkey whose counter went back may have been copied: `stopped_at` ends it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="passkeys")
    name = models.CharField(max_length=60)
    rp_id = models.CharField(max_length=253)
    key_id = models.CharField(max_length=1400, unique=True)  # base64url
    credential = models.BinaryField()
    counter = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]


class Identity(models.Model):
    """Who a person is at the organisation's sign-in service: issuer and subject, never the address."""

    user = models.ForeignKey(User, models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    linked_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="one_person_each_subject"),
                       models.UniqueConstraint(fields=["user", "issuer"], name="one_subject_each_person")]


class Spent(models.Model):
    """What works once and was used: a passkey's challenge, a service's state. Kept until it is too old anyway."""

    digest = models.CharField(max_length=64, primary_key=True)
    until = models.DateTimeField(db_index=True)


class RecoveryCode(models.Model):
    """A code for the day the telephone is lost; only its HMAC is kept, and a used one is deleted."""

    user = models.ForeignKey(User, models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="one_recovery_code_each")]


class Attempts(models.Model):
    """Sign-in attempts since the last success. `key` is an HMAC: names that were tried are not kept."""

    key = models.CharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()
    blocked_until = models.DateTimeField(null=True, blank=True)
