"""Every address of the desk, and the demo's links."""

from django.urls import path

from hikeshi_desk.urls import handler400, handler403, handler404, handler500
from hikeshi_desk.urls import urlpatterns as of_the_desk
from hikeshi_desk.worked.views import enter

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]
urlpatterns = [*of_the_desk, path("demo/<str:token>/", enter, name="demo")]
