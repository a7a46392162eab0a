"""Addresses of mail: the public key for everybody, the rest under /desk/mail/."""

from django.urls import path

from hikeshi_desk.mail import views

app_name = "mail"
urlpatterns = [
    path("pgp-key.asc", views.public_key, name="public-key"),
    path("desk/mail/", views.quarantine, name="quarantine"),
    path("desk/mail/<uuid:mail_id>/raw/", views.raw, name="raw"),
    path("desk/mail/<uuid:mail_id>/open/", views.open_case, name="open"),
    path("desk/mail/<uuid:mail_id>/attach/", views.attach, name="attach"),
    path("desk/mail/<uuid:mail_id>/retry/", views.retry, name="retry"),
    path("desk/mail/<uuid:mail_id>/discard/", views.discard, name="discard"),
    path("desk/mail/keys/", views.key_list, name="keys"),
    path("desk/mail/keys/add/", views.key_add, name="key-add"),
    path("desk/mail/keys/<uuid:key_id>/confirm/", views.key_confirm, name="key-confirm"),
    path("desk/mail/keys/<uuid:key_id>/remove/", views.key_remove, name="key-remove"),
    path("desk/mail/reply/<uuid:sent_id>/in-clear/", views.in_clear, name="in-clear"),
]
