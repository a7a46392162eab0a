"""The pages of what the desk knows: everybody with a role may read, leads change which pack answers."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from hikeshi_desk.accounts.access import Viewer, needs, viewer_of
from hikeshi_desk.accounts.models import Role, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis import knowledge_page, packs, service
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases.access import READING, is_desk

_SAVED = "sandbox; default-src 'none'; frame-ancestors 'none'"


@needs(*READING, methods=("GET",))
def page(request: HttpRequest) -> HttpResponse:
    return _page(viewer_of(request), request)


def _page(viewer: Viewer, request: HttpRequest, refused: packs.Refused | None = None) -> HttpResponse:
    problem = None if refused is None else {
        "words": text(f"knowledge.refused.{refused.code}"), "next": text(f"knowledge.refused_next.{refused.code}"),
        "detail": refused.detail}
    return render(request, "analysis/knowledge.html", {
        "viewer": viewer, "page": knowledge_page.build(viewer), "refused": problem, "is_desk": is_desk(viewer)},
        status=200 if refused is None else 422)


@needs(*READING, methods=("GET",))
def families(request: HttpRequest) -> HttpResponse:
    asked = request.GET.get("q", "")[:100]
    return render(request, "analysis/families.html", {
        "viewer": viewer_of(request), "asked": asked, "page": knowledge_page.families(asked)})


@needs(*READING, methods=("GET",))
def family(request: HttpRequest, family_id: str) -> HttpResponse:
    viewer = viewer_of(request)
    found = knowledge_page.family(family_id, viewer)
    if found is None:
        raise Http404
    return render(request, "analysis/known_family.html", {"viewer": viewer, "page": found})


@needs(*READING, methods=("GET",))
def actor(request: HttpRequest, name: str) -> HttpResponse:
    viewer = viewer_of(request)
    found = knowledge_page.actor(name, viewer)
    if found is None:
        raise Http404
    return render(request, "analysis/known_actor.html", {"viewer": viewer, "page": found})


@needs(*READING, methods=("GET",))
def changed(request: HttpRequest) -> HttpResponse:
    """Cases whose answer is another one now, and nobody accepted it yet: the desk's alone."""
    viewer = viewer_of(request)
    if not is_desk(viewer):
        raise Http404
    return render(request, "analysis/changed.html", {"viewer": viewer, "rows": knowledge_page.changed(viewer)})


@needs(*READING, methods=("GET",))
def pack_file(request: HttpRequest) -> HttpResponse:
    """The pack that answers, byte for byte as it was signed."""
    found = packs.file_in_force()
    if found is None:
        raise Http404
    pack, raw = found
    if request.method == "GET":
        record(str(_user(viewer_of(request)).pk), "knowledge.taken_out", f"pack:{pack.id}", serial=pack.serial)
    return _saved(raw, f"knowledge-{pack.serial}.hkpack")


@needs(*READING, methods=("GET",))
def key_file(request: HttpRequest, key_id: str) -> HttpResponse:
    """The public key that a receiver of the pack needs, in the form of a .pub file."""
    raw = packs.key_file(key_id)
    if raw is None:
        raise Http404
    return _saved(raw, f"{key_id}.pub")


@needs(Role.LEAD, methods=("POST",))
def bring(request: HttpRequest) -> HttpResponse:
    """A pack from outside is looked at; nothing changes yet."""
    viewer, file = viewer_of(request), request.FILES.get("pack")
    if file is None or not file.size:
        return _page(viewer, request, packs.Refused("nothing"))
    try:
        one = packs.look_at(file.chunks(), file.size, _user(viewer))
    except packs.Refused as refused:
        return _page(viewer, request, refused)
    return redirect("analysis:pack-waiting", sha256=one.sha256)


@needs(Role.LEAD, methods=("GET",))
def waiting(request: HttpRequest, sha256: str) -> HttpResponse:
    """What the pack would change, and who signed it, before it is taken into use."""
    one = packs.waiting(sha256)
    if one is None:
        raise Http404
    return render(request, "analysis/pack.html", {"viewer": viewer_of(request), "page": knowledge_page.waiting(one)})


@needs(Role.LEAD, methods=("POST",))
def use(request: HttpRequest, sha256: str) -> HttpResponse:
    viewer, one = viewer_of(request), packs.waiting(sha256)
    if one is None:
        raise Http404
    try:
        pack = packs.use(one, _user(viewer))
    except packs.Refused as refused:
        return _page(viewer, request, refused)
    again = service.refresh_stale()
    messages.success(request, text("knowledge.done.imported", name=pack.name, serial=pack.serial, cases=again))
    return redirect("analysis:knowledge")


@needs(Role.LEAD, methods=("POST",))
def drop(request: HttpRequest, sha256: str) -> HttpResponse:
    one = packs.waiting(sha256)
    if one is None:
        raise Http404
    packs.drop(one)
    messages.success(request, text("knowledge.done.dropped"))
    return redirect("analysis:knowledge")


@needs(Role.LEAD, methods=("POST",))
def undo(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    try:
        back = packs.undo(_user(viewer), expected=request.POST.get("pack", ""))
    except packs.Refused as refused:
        return _page(viewer, request, refused)
    again = service.refresh_stale()
    messages.success(request, text("knowledge.done.undone", name=knowledge_page.name_of(back), cases=again))
    return redirect("analysis:knowledge")


@needs(Role.LEAD, methods=("POST",))
def trust(request: HttpRequest) -> HttpResponse:
    viewer, file = viewer_of(request), request.FILES.get("file")
    line = file.read(4096).decode("ascii", "replace") if file is not None else request.POST.get("key", "")[:4096]
    if not line.strip():
        return _page(viewer, request, packs.Refused("no_key"))
    try:
        name = packs.trust(line, _user(viewer))
    except packs.Refused as refused:
        return _page(viewer, request, refused)
    messages.success(request, text("knowledge.done.trusted", name=name))
    return redirect(reverse("analysis:knowledge") + "#signers")


@needs(Role.LEAD, methods=("POST",))
def distrust(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    try:
        packs.distrust(request.POST.get("key", ""), _user(viewer))
    except packs.Refused as refused:
        return _page(viewer, request, refused)
    messages.success(request, text("knowledge.done.distrusted"))
    return redirect(reverse("analysis:knowledge") + "#signers")


def _user(viewer: Viewer) -> User:
    assert viewer.user is not None
    return viewer.user


def _saved(raw: bytes, name: str) -> HttpResponse:
    answer = HttpResponse(raw, content_type="application/octet-stream")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Content-Security-Policy"] = _SAVED
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    return answer
