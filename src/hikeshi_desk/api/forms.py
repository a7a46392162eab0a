"""What a person says of a new token."""

from __future__ import annotations

from django import forms

from hikeshi_desk.accounts.texts import lazy_text
from hikeshi_desk.api.tokens import SCOPES

DAYS = (30, 90, 365)


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, label=lazy_text("api.field.name"),
                           help_text=lazy_text("api.field.name_help"))
    scopes = forms.MultipleChoiceField(
        label=lazy_text("api.field.scopes"), widget=forms.CheckboxSelectMultiple,
        choices=[(scope, lazy_text(f"api.scope.{scope.replace(':', '_')}")) for scope in SCOPES],
        error_messages={"required": lazy_text("api.refused.scopes")})
    days = forms.TypedChoiceField(
        label=lazy_text("api.field.days"), coerce=int, initial=90,
        choices=[(days, lazy_text(f"api.days.d{days}")) for days in DAYS])

    def clean_name(self) -> str:
        return str(self.cleaned_data["name"]).replace("\0", "")
