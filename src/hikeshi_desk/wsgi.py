"""The desk as a WSGI application."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hikeshi_desk.settings")
application = get_wsgi_application()
# What is loaded now stays for ever: a collection in the middle of a page needn't walk it.
gc.collect()
gc.freeze()
