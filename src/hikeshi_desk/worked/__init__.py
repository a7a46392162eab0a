"""The desk of `hikeshi demo`: the worked incidents as cases, and a way in that exists nowhere else.

settings.py  the desk's settings with the demo's one further route
urls.py      that route: a link that signs in once
cases.py     puts the incidents into the desk, through its own door
cases.toml   what people say in them
"""
