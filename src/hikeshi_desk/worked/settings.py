"""The desk's settings for `hikeshi demo`: a second factor may be set up, but nobody is held up by it."""

from hikeshi_desk.settings import *  # noqa: F403

ROOT_URLCONF = "hikeshi_desk.worked.urls"
SECOND_FACTOR = "optional"
