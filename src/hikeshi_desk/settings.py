"""Settings of the desk: everything comes from the data folder and a few environment variables.

HIKESHI_DATA       the data folder (default ./hikeshi-data): database, spool, evidence, secret key
HIKESHI_KNOWLEDGE  the folder of the knowledge pack in use and of trusted signers (default: knowledge in HIKESHI_DATA)
DATABASE_URL       postgres://user:password@host:port/name for a team; default: SQLite in the data folder
HIKESHI_HOSTS      host names the desk answers to, with commas (default: localhost and 127.0.0.1)
HIKESHI_HTTPS      1 behind TLS: secure cookies and HSTS
HIKESHI_SECOND_FACTOR  required (default) or optional: an authenticator app for people of the desk
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

PACKAGE = Path(__file__).parent
DATA = Path(os.environ.get("HIKESHI_DATA", "hikeshi-data")).absolute()
SPOOL = DATA / "spool"
EVIDENCE = DATA / "evidence"
# Set for the children too: they answer from the same pack.
os.environ.setdefault("HIKESHI_KNOWLEDGE", str(DATA / "knowledge"))


def _flag(name: str) -> bool:
    value = os.environ.get(name, "0").strip().lower()
    if value not in ("0", "1", "true", "false", ""):
        raise ImproperlyConfigured(f"{name} is 0 or 1, not '{value}'")
    return value in ("1", "true")


def _secret() -> str:
    """The desk's own secret, made on first start; readable by its owner only."""
    path = DATA / "secret-key"
    if not path.exists():
        DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(64))
    return path.read_text().strip()


def _database() -> dict[str, object]:
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        # FULL: a commit is on the disk before we say thank you. IMMEDIATE: no dead lock on upgrade.
        return {
            "ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "desk.sqlite3",
            "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE",
                        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"},
        }
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(f"DATABASE_URL begins with postgres://, not '{parts.scheme}://'")
    return {"ENGINE": "django.db.backends.postgresql", "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""), "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "", "PORT": str(parts.port or ""), "CONN_MAX_AGE": 60,
            # Compiling a statement takes longer than any of ours runs.
            "OPTIONS": {"options": "-c jit=off"}}


SECRET_KEY = _secret()
DEBUG = False
HTTPS = _flag("HIKESHI_HTTPS")
_hosts = os.environ.get("HIKESHI_HOSTS", "localhost,127.0.0.1,[::1]")
ALLOWED_HOSTS = [host.strip() for host in _hosts.split(",") if host.strip()]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_tasks",
    "django_tasks_db",
    "hikeshi_desk.audit",
    "hikeshi_desk.accounts",
    "hikeshi_desk.intake",
    "hikeshi_desk.cases",
    "hikeshi_desk.analysis",
    "hikeshi_desk.respond",
    "hikeshi_desk.consult",
    "hikeshi_desk.mail",
    "hikeshi_desk.api",
    "hikeshi_desk.oncall",
]

MIDDLEWARE = [
    "hikeshi_desk.accounts.headers.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "hikeshi_desk.urls"
WSGI_APPLICATION = "hikeshi_desk.wsgi.application"
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [PACKAGE / "templates"],
    "APP_DIRS": False,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.template.context_processors.i18n",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
        "hikeshi_desk.accounts.context.viewer",
        "hikeshi_desk.consult.context.this_desk",
        "hikeshi_desk.oncall.context.unreached",
        "hikeshi_desk.mail.context.post_office",
    ]},
}]
DATABASES = {"default": _database()}
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

LANGUAGE_CODE = "ja"
LANGUAGES = [("ja", "日本語"), ("en", "English")]
LOCALE_PATHS = [PACKAGE / "locale"]
TIME_ZONE = "Asia/Tokyo"
USE_TZ = True
USE_I18N = True

STATIC_URL = "/static/"
STATIC_ROOT = DATA / "static"
STATICFILES_DIRS = [PACKAGE / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
WHITENOISE_ALLOW_ALL_ORIGINS = False

SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
# Not "no-referrer": browsers would then send forms with "Origin: null", and every form would be refused.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "hikeshi_desk.accounts.errors.csrf_failed"
# Handlers, leads and auditors see victims' data: a password alone is not enough unless the desk says so.
SECOND_FACTOR = os.environ.get("HIKESHI_SECOND_FACTOR", "required")
if SECOND_FACTOR not in ("required", "optional"):
    raise ImproperlyConfigured(f"HIKESHI_SECOND_FACTOR is required or optional, not '{SECOND_FACTOR}'")
CONTENT_SECURITY_POLICY = {"DIRECTIVES": {
    "default-src": ["'none'"], "script-src": ["'self'"], "style-src": ["'self'"], "img-src": ["'self'"],
    "connect-src": ["'self'"], "form-action": ["'self'"], "base-uri": ["'none'"], "frame-ancestors": ["'none'"],
}}
DATA_UPLOAD_MAX_NUMBER_FIELDS = 300
# Whoever pastes a long log gets it back with the reason, not an error page.
DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000_000

# Lines carry no network address and no user agent: a consultee must not be found in a log.
LOGGING = {
    "version": 1, "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # A refused request would put its path into the log, and with it the token of a one-time link; fido2 tells key ids.
    "loggers": {**{name: {"level": "ERROR"} for name in ("django.request", "django.security.csrf", "fido2")},
                # Its line would hold whatever host name the visitor asked for.
                "django.security.DisallowedHost": {"level": "CRITICAL"}},
}
LOGIN_URL = "/desk/account/sign-in/"
LOGIN_REDIRECT_URL = "/desk/"
