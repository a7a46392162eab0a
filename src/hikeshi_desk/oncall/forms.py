"""A shift and a way to a person, as people type them in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms

from hikeshi_desk.accounts.forms import Strict
from hikeshi_desk.accounts.models import User
from hikeshi_desk.accounts.texts import lazy_text, text
from hikeshi_desk.oncall import roster
from hikeshi_desk.oncall.models import Way

_DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
_TIME = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
_PLACES = 3


class PersonField(forms.ChoiceField):
    """One of the people who may be called; gives the person."""

    def __init__(self, people: Sequence[User], **more: Any) -> None:
        self._people = {str(person.pk): person for person in people}
        super().__init__(choices=[(key, person.name) for key, person in self._people.items()],
                         label=lazy_text("oncall.field.person"), **more)

    def clean(self, value: Any) -> User:
        return self._people[super().clean(value)]


class ShiftForm(Strict):
    first_day = forms.DateField(widget=_DAY, label=lazy_text("oncall.field.first_day"))
    begins = forms.TimeField(widget=_TIME, label=lazy_text("oncall.field.begins"))
    end_day = forms.DateField(widget=_DAY, label=lazy_text("oncall.field.end_day"))
    ends = forms.TimeField(widget=_TIME, label=lazy_text("oncall.field.ends"))
    place = forms.TypedChoiceField(coerce=int, label=lazy_text("oncall.field.place"),
                                   choices=lambda: [(n, text(f"oncall.place.{n}")) for n in range(1, _PLACES + 1)])
    weekly = forms.BooleanField(required=False, label=lazy_text("oncall.field.weekly"))
    last_day = forms.DateField(required=False, widget=_DAY, label=lazy_text("oncall.field.last_day"),
                               help_text=lazy_text("oncall.field.last_day_help"))

    def __init__(self, *given: Any, people: Sequence[User], zone: ZoneInfo, **more: Any) -> None:
        super().__init__(*given, prefix="shift", **more)
        self._zone = zone
        self.fields = {"person": PersonField(people), **self.fields}

    def clean(self) -> dict[str, Any]:
        told = super().clean()
        if not {"first_day", "begins", "end_day", "ends"} <= set(told):
            return told
        try:
            lasts = (roster.moment(told["end_day"], told["ends"], self._zone)
                     - roster.moment(told["first_day"], told["begins"], self._zone))
        except OverflowError:  # the year 1 or 9999, elsewhere in the world
            self.add_error("first_day", text("oncall.refused.order"))
            return told
        if lasts <= timedelta(0):
            self.add_error("ends", text("oncall.refused.order"))
        elif lasts > (roster.WEEK if told.get("weekly") else roster.LONGEST):
            self.add_error("ends", text("oncall.refused.too_long"))
        if not 2000 <= told["first_day"].year <= 2200:
            self.add_error("first_day", text("oncall.refused.order"))
        if not told.get("weekly"):
            told["last_day"] = None
        elif told.get("last_day") and told["last_day"] < told["first_day"]:
            self.add_error("last_day", text("oncall.refused.order"))
        return told


class WayForm(Strict):
    kind = forms.ChoiceField(choices=lambda: [(k, text(f"oncall.way.{k}")) for k in Way.Kind.values],
                             label=lazy_text("oncall.field.kind"))
    value = forms.CharField(max_length=2000, label=lazy_text("oncall.field.value"),
                            help_text=lazy_text("oncall.field.value_help"),
                            widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}))

    def __init__(self, *given: Any, people: Sequence[User], **more: Any) -> None:
        super().__init__(*given, prefix="way", **more)
        self.fields = {"person": PersonField(people), **self.fields}
