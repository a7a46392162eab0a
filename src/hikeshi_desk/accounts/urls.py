"""Addresses under /desk/account/."""

from django.urls import path

from hikeshi_desk.accounts.views import forgotten, me, passkeys, people, service, sign_in

app_name = "accounts"
urlpatterns = [
    path("", me.me, name="me"),
    path("audit/", people.audit, name="audit"),
    path("end-sessions/", me.end_sessions, name="end-sessions"),
    path("forgotten/", forgotten.forgotten, name="forgotten"),
    path("link/<str:token>/", sign_in.one_time_link, name="link"),
    path("organisations/", people.organisations, name="organisations"),
    path("passkeys/", passkeys.passkeys, name="passkeys"),
    path("passkeys/add/", passkeys.add, name="passkey-add"),
    path("passkeys/ask/<slug:purpose>/", passkeys.ask, name="passkey-ask"),
    path("passkeys/<uuid:passkey_id>/", passkeys.rename, name="passkey"),
    path("passkeys/<uuid:passkey_id>/remove/", passkeys.remove, name="passkey-remove"),
    path("password/", me.password, name="password"),
    path("people/", people.people, name="people"),
    path("people/<uuid:user_id>/", people.person, name="person"),
    path("people/<uuid:user_id>/deactivate/", people.person_deactivate, name="person-deactivate"),
    path("people/<uuid:user_id>/link/", people.person_link, name="person-link"),
    path("people/<uuid:user_id>/reactivate/", people.person_reactivate, name="person-reactivate"),
    path("people/<uuid:user_id>/roles/", people.person_role, name="person-role"),
    path("people/<uuid:user_id>/roles/<int:membership_id>/remove/", people.person_role_remove,
         name="person-role-remove"),
    path("people/<uuid:user_id>/second-factor/", people.person_second_factor, name="person-second-factor"),
    path("recovery-codes/", me.recovery_codes, name="recovery-codes"),
    path("second-factor/", me.second_factor, name="second-factor"),
    path("second-factor/picture.svg", me.second_factor_picture, name="second-factor-picture"),
    path("second-factor/remove/", me.second_factor_remove, name="second-factor-remove"),
    path("second-step/", sign_in.second_step, name="second-step"),
    path("second-step/passkey/", passkeys.second, name="second-step-passkey"),
    path("service/", service.begin, name="service"),
    path("service/back/", service.back, name="service-back"),
    path("sign-in/passkey/", passkeys.with_passkey, name="sign-in-passkey"),
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
]
