"""Organisations, people and their roles. access.py is the only way to an object."""
