"""Every address of the desk. Each area brings its own; one line each."""

from django.urls import URLPattern, URLResolver, include, path
from django.views.i18n import set_language

from hikeshi_desk.accounts.access import public

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("hikeshi_desk.api.urls")),
    path("", include("hikeshi_desk.consult.urls")),
    path("", include("hikeshi_desk.mail.urls")),
    path("desk/account/", include("hikeshi_desk.accounts.urls")),
    path("desk/", include("hikeshi_desk.cases.urls")),
    path("desk/on-call/", include("hikeshi_desk.oncall.urls")),
    path("desk/", include("hikeshi_desk.analysis.urls")),
    path("desk/", include("hikeshi_desk.respond.urls")),
    path("language/", public(methods=("POST",))(set_language), name="language"),
]

handler400 = "hikeshi_desk.accounts.errors.bad_request"
handler403 = "hikeshi_desk.accounts.errors.forbidden"
handler404 = "hikeshi_desk.accounts.errors.not_found"
handler500 = "hikeshi_desk.accounts.errors.server_error"
