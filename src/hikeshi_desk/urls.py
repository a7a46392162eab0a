"""Every address of the desk. Each area brings its own; one line each."""

from django.urls import URLPattern, URLResolver, path
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

urlpatterns: list[URLPattern | URLResolver] = [
    path("language/", require_POST(set_language), name="language"),
]
