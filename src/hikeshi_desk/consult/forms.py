"""What a consultee may send: exactly these fields, each with its bounds."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import get_language

from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases.models import Source
from hikeshi_desk.intake.submit import Payload

INCIDENTS = ("ransomware", "targeted", "unauthorised_access", "malware", "web_compromise", "data_leak", "phishing",
             "fraud", "lost_device", "supply_chain", "ddos", "spam", "vulnerability", "information", "other", "unknown")
REQUESTS = ("first_steps", "elsewhere", "beyond_us", "second_opinion", "sample_analysis", "vulnerability",
            "information", "other")
ASKERS = ("victim", "first_responder", "expert", "researcher", "foreign_csirt")
DETECTED_BY = tuple(code for code in Source.values if code)
PUBLICATION = ("after_fix", "on_date", "already", "not_wanted", "undecided")
FACTS = ("noticed_at", "detected_by", "machines", "affected", "ongoing", "seen", "extension", "note_text",
         "done_so_far", "other_bodies", "product", "vendor", "publication", "sample_origin")
MOST_POINTS = 20
_LONGEST = 100_000


class Words(forms.CharField):
    """Text as it was written; the sign no database keeps is left out instead of refusing the rest."""

    def __init__(self, *, most: int = 500, required: bool = False, empty: str = "empty") -> None:
        super().__init__(required=required)
        self.most, self.empty = most, empty

    def to_python(self, value: Any) -> str:
        return str(super().to_python(str(value).replace("\0", "") if value else value))

    def run_validators(self, value: Any) -> None:
        if len(value) > self.most:
            raise ValidationError(text("consult.error.long", most=f"{self.most:,}"))

    def validate(self, value: Any) -> None:
        if self.required and not value.strip():
            raise ValidationError(text(f"consult.error.{self.empty}"))


class Pick(forms.ChoiceField):
    """One of our own codes; `area` names its labels in texts/consult.toml."""

    def __init__(self, area: str, codes: tuple[str, ...], *, required: bool = False) -> None:
        super().__init__(required=required, choices=[(code, code) for code in codes])
        self.area, self.codes = area, codes

    def validate(self, value: Any) -> None:
        if not value and self.required:
            raise ValidationError(text("consult.error.choose"))
        if value and value not in self.codes:
            raise ValidationError(text("consult.error.choice"))

    def options(self, chosen: object) -> list[tuple[str, str, bool]]:
        return [(code, text(f"consult.{self.area}.{code}"), code == chosen) for code in self.codes]


class _Keyed(forms.Form):
    """A form that is one submission however often it is sent."""

    def words(self) -> dict[str, str]:
        """What was typed, right or wrong, by field: for showing it again."""
        return {name: self[name].value() or "" for name in self.fields}

    key = forms.CharField(required=False, max_length=64)

    def clean_key(self) -> str:
        given = str(self.cleaned_data["key"])
        return given if len(given) >= 32 else new_key()


class Consultation(_Keyed):
    what = Words(most=_LONGEST, required=True)
    incident = Pick("incident", INCIDENTS, required=True)
    contact = Words(most=254)
    anonymous = forms.BooleanField(required=False)
    asker_kind = Pick("asker", ASKERS)
    asker_name = Words(most=200)
    on_behalf = Words(most=200)
    request = Pick("request", REQUESTS)
    hypothesis = Words(most=_LONGEST)
    noticed_at = Words()
    detected_by = Pick("detected_by", DETECTED_BY)
    machines = Words()
    affected = Words(most=5000)
    ongoing = Words(most=5000)
    seen = Words(most=20_000)
    extension = Words(most=200)
    note_text = Words(most=_LONGEST)
    done_so_far = Words(most=5000)
    other_bodies = Words(most=5000)
    product = Words(most=500)
    vendor = Words(most=5000)
    publication = Pick("publication", PUBLICATION)
    sample_origin = Words(most=5000)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if "contact" in self.fields and not given.get("anonymous") and not given.get("contact", "x").strip():
            self.add_error("contact", text("consult.error.contact"))
        if len(_lines(given.get("hypothesis", ""))) > MOST_POINTS:
            self.add_error("hypothesis", text("consult.error.points", most=MOST_POINTS))
        return given

    def only(self, names: tuple[str, ...]) -> Consultation:
        """The same form with these questions alone: one step of the guided way."""
        for name in [name for name in self.fields if name not in names]:
            del self.fields[name]
        return self

    def payload(self) -> Payload:
        given = self.cleaned_data
        anonymous = given["anonymous"]
        return Payload(
            channel="web", language=_language(), what=given["what"], request=given["request"] or "first_steps",
            incident=given["incident"], asker_kind=given["asker_kind"], anonymous=anonymous,
            # Who asks to stay unknown is unknown, whatever else stands in the form.
            asker_name="" if anonymous else given["asker_name"], contact="" if anonymous else given["contact"],
            on_behalf=given["on_behalf"], facts={name: given[name] for name in FACTS if given[name]},
            hypothesis=_lines(given["hypothesis"]))


class Reply(_Keyed):
    what = Words(most=_LONGEST)

    def payload(self, receipt: str, *, with_files: bool) -> Payload | None:
        """None when there is neither a word nor a file."""
        what = self.cleaned_data["what"].strip()
        if not what and not with_files:
            self.add_error("what", text("consult.error.empty_reply"))
            return None
        return Payload(channel="web", language=_language(), what=what or text("consult.thread.only_files"),
                       anonymous=True, thread=receipt)


class Naming(_Keyed):
    asker_name = Words(most=200)
    contact = Words(most=254, required=True, empty="contact_empty")

    def payload(self, receipt: str) -> Payload:
        given = self.cleaned_data
        return Payload(channel="web", language=_language(), what=text("consult.thread.named"), thread=receipt,
                       asker_name=given["asker_name"], contact=given["contact"])


def new_key() -> str:
    return secrets.token_urlsafe(32)


def _lines(given: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in given.splitlines() if line.strip())


def _language() -> str:
    return "en" if (get_language() or "ja").startswith("en") else "ja"
