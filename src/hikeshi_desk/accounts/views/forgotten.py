"""The page for a forgotten password: the same answer for every address."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from hikeshi_desk.accounts import forgotten as acts
from hikeshi_desk.accounts import outbox
from hikeshi_desk.accounts.access import public
from hikeshi_desk.accounts.forms import ForgottenForm


@public(methods=("GET", "POST"))
def forgotten(request: HttpRequest) -> HttpResponse:
    is_set_up = outbox.is_set_up()
    form = ForgottenForm(request.POST or None)
    if request.method == "POST" and is_set_up and form.is_valid():
        acts.ask(request, form.cleaned_data["email"])
        return redirect(f"{reverse('accounts:forgotten')}?sent")
    return render(request, "accounts/forgotten.html", {
        "form": form, "is_set_up": is_set_up, "is_sent": request.method == "GET" and "sent" in request.GET})
