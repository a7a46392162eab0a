"""What people type in. An unknown field is refused, not ignored."""

from __future__ import annotations

import unicodedata
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from hikeshi_desk.accounts import passkeys, passwords
from hikeshi_desk.accounts.models import OrganisationKind, Role, UserManager
from hikeshi_desk.accounts.texts import lazy_text, text


class Strict(forms.Form):
    """Refuses fields it does not know: nothing slips into a model by a crafted request."""

    also = frozenset({"csrfmiddlewaretoken", "next"})

    def clean(self) -> dict[str, Any]:
        unknown = set(self.data) - {self.add_prefix(name) for name in self.fields} - self.also
        if unknown:
            raise ValidationError(text("accounts.refused.unknown_field"))
        return self.cleaned_data


class PasswordField(forms.CharField):
    """One spelling for what different keyboards make of the same signs."""

    def __init__(self, *, new: bool = False, **more: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": "new-password" if new else "current-password"})
        super().__init__(strip=False, max_length=passwords.LONGEST, widget=widget, **more)

    def to_python(self, value: Any) -> str:
        return unicodedata.normalize("NFKC", super().to_python(value))


class NameField(forms.EmailField):
    """An e-mail address as it is kept: full-width signs of a Japanese keyboard are no reason to refuse it."""

    def __init__(self, **more: Any) -> None:
        super().__init__(max_length=254, label=lazy_text("accounts.field.email"),
                         widget=forms.EmailInput(attrs={"autocomplete": "username"}), **more)

    def to_python(self, value: Any) -> str:
        return UserManager.normalise(super().to_python(value))


def _code(label: str) -> forms.CharField:
    return forms.CharField(max_length=40, label=lazy_text(label), widget=forms.TextInput(
        attrs={"autocomplete": "one-time-code", "autocapitalize": "characters", "spellcheck": "false"}))


class SignInForm(Strict):
    email = forms.CharField(max_length=254, label=lazy_text("accounts.field.email"), widget=forms.TextInput(
        attrs={"autocomplete": "username", "inputmode": "email", "autocapitalize": "none", "spellcheck": "false"}))
    password = PasswordField(label=lazy_text("accounts.field.password"))


class CodeForm(Strict):
    code = _code("accounts.field.code")


class NewPasswordForm(Strict):
    password = PasswordField(new=True, label=lazy_text("accounts.field.new_password"),
                             help_text=lazy_text("accounts.field.new_password_help"))
    again = PasswordField(new=True, label=lazy_text("accounts.field.again"))

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if "password" in given and "again" in given:
            if given["password"] != given["again"]:
                self.add_error("again", text("accounts.refused.not_equal"))
            try:
                validate_password(given["password"])
            except ValidationError as weak:
                self.add_error("password", weak)
        return given


class InvitedForm(NewPasswordForm):
    name = forms.CharField(max_length=100, label=lazy_text("accounts.field.name"))
    field_order = ["name", "password", "again"]


class SetUpForm(NewPasswordForm):
    desk = forms.CharField(max_length=200, label=lazy_text("accounts.field.desk"))
    desk_en = forms.CharField(max_length=200, required=False, label=lazy_text("accounts.field.desk_en"))
    name = forms.CharField(max_length=100, label=lazy_text("accounts.field.name"))
    email = NameField()
    field_order = ["desk", "desk_en", "name", "email", "password", "again"]


class ChangePasswordForm(NewPasswordForm):
    current = PasswordField(label=lazy_text("accounts.field.current_password"))
    field_order = ["current", "password", "again"]


class ConfirmForm(Strict):
    """It is really you: the password, or for those without one a code; a passkey's answer instead of either."""

    current = PasswordField(required=False, label=lazy_text("accounts.field.current_password"))
    code = _code("accounts.field.code")
    passkey = forms.CharField(required=False, widget=forms.HiddenInput(), max_length=passkeys.LONGEST_ANSWER)

    def __init__(self, *given: Any, has_password: bool, has_app: bool, **more: Any) -> None:
        super().__init__(*given, **more)
        self.fields["code"].required = False
        if not has_password:
            del self.fields["current"]
        if has_password or not has_app:
            del self.fields["code"]


class PasskeyForm(Strict):
    """What a device answered; the script fills it in."""

    passkey = forms.CharField(widget=forms.HiddenInput(), max_length=passkeys.LONGEST_ANSWER)


class PasskeyNameForm(Strict):
    name = forms.CharField(max_length=60, label=lazy_text("accounts.field.passkey_name"),
                           help_text=lazy_text("accounts.field.passkey_name_help"))


class NewPasskeyForm(PasskeyNameForm):
    passkey = forms.CharField(widget=forms.HiddenInput(), max_length=passkeys.LONGEST_ANSWER)


class ForgottenForm(Strict):
    email = forms.CharField(max_length=254, label=lazy_text("accounts.field.email"), widget=forms.TextInput(
        attrs={"autocomplete": "username", "inputmode": "email", "autocapitalize": "none", "spellcheck": "false"}))


class ProfileForm(Strict):
    name = forms.CharField(max_length=100, label=lazy_text("accounts.field.name"))
    language = forms.ChoiceField(choices=settings.LANGUAGES, label=lazy_text("accounts.field.language"))
    zone = forms.ChoiceField(choices=[(zone, zone) for zone in sorted(available_timezones())],
                             label=lazy_text("accounts.field.zone"))


def _role_choices() -> list[tuple[str, str]]:
    return [(role.value, text(f"accounts.role.{role.value}")) for role in Role]


class RoleForm(Strict):
    organisation = forms.ModelChoiceField(queryset=None, empty_label=None,
                                          label=lazy_text("accounts.field.organisation"))
    role = forms.ChoiceField(choices=_role_choices, label=lazy_text("accounts.field.role"))

    def __init__(self, *given: Any, organisations: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        field = self.fields["organisation"]
        field.queryset = organisations
        field.label_from_instance = lambda organisation: organisation.name


class InviteForm(RoleForm):
    name = forms.CharField(max_length=100, label=lazy_text("accounts.field.name"))
    email = NameField()
    field_order = ["name", "email", "organisation", "role"]


class OrganisationForm(Strict):
    name = forms.CharField(max_length=200, label=lazy_text("accounts.field.organisation"))
    name_en = forms.CharField(max_length=200, required=False, label=lazy_text("accounts.field.organisation_en"))
    kinds = forms.MultipleChoiceField(
        choices=lambda: [(kind.value, text(f"accounts.kind.{kind.value}")) for kind in OrganisationKind],
        widget=forms.CheckboxSelectMultiple, label=lazy_text("accounts.field.kinds"))


class EmptyForm(Strict):
    """A button: nothing but the form token."""

