"""Settings of every process, all of them from the environment; .env.example says what each name means.

Without REDIS_URL the process is *embedded*: the live state is in its memory, and nothing else needs to run.
"""

from __future__ import annotations

import os
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ

from riskportal import logging, secret_key
from riskportal.applications import INSTALLED_APPS, MIDDLEWARE  # noqa: F401 - Django reads them here
from riskportal.env import Environment, redis_database, refuse
from riskportal.look import LOOK
from riskportal.mail import check_addresses, mail_server

BASE_DIR = Path(__file__).resolve().parent.parent

# Values of the environment win over those of the file.
environ.Env.read_env(BASE_DIR / os.environ.get("RISK_ENV_FILE", ".env"))
env = Environment(os.environ)

# ------------------------------------------------------------------------------------------ how it is run
DEBUG = env.flag("RISK_DEBUG", default=False)
REDIS_URL = env.url("REDIS_URL", "redis", "rediss", "unix")
EMBEDDED = not REDIS_URL
NATS_URL = env.urls("NATS_URL", "nats", "tls")
RISK_REDIS_TIMEOUT = env.duration("RISK_REDIS_TIMEOUT", "250ms", least="10ms", most="5s")
RISK_LANES = env.whole("RISK_LANES", 1, least=1, most=64)
RISK_KEY_RATE = env.whole("RISK_KEY_RATE", 0, least=0, most=100_000)
RISK_DATA_DIR = Path(env.text("RISK_DATA_DIR", str(BASE_DIR / "data")))
RISK_HOST = env.text("RISK_HOST", "127.0.0.1")
RISK_HTTP_PORT = env.whole("RISK_HTTP_PORT", 8103, least=1, most=65535)
RISK_ASGI_PORT = env.whole("RISK_ASGI_PORT", 8104, least=1, most=65535)
RISK_WEB_PROCESSES = env.whole("RISK_WEB_PROCESSES", 1, least=1, most=64)


def _data_dir() -> Path:
    """Return the data directory, which is made when something first needs it."""
    try:
        RISK_DATA_DIR.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse("RISK_DATA_DIR", str(RISK_DATA_DIR), f"cannot be made: {error.strerror}")
    return RISK_DATA_DIR


def _secret_key() -> str:
    given = env.text(secret_key.NAME)
    if given:
        return secret_key.checked(given)
    if EMBEDDED or DEBUG:
        return secret_key.kept(_data_dir())
    refuse(secret_key.NAME, None, "must be set in production; make one with: openssl rand -hex 32")


SECRET_KEY = _secret_key()


# ----------------------------------------------------------------------------------------------- database
def _sqlite(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {
            # The write lock is taken when a transaction begins: two never deadlock upgrading theirs.
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL;",
            "timeout": 20,
        },
        # In memory, where tests would have theirs, writers do not wait for each other.
        "TEST": {"NAME": f"{name}.test"},
    }


def _postgresql(parts: dict[str, Any]) -> dict[str, Any]:
    if not parts["NAME"]:
        refuse("DATABASE_URL", None, "expected a database after the host: postgresql://user@host/name")
    # Whoever freezes in a transaction keeps its locks, such as on the rows of violations, for which all other workers
    # wait. After so long the server ends its session, and they go on.
    frozen = "-c idle_in_transaction_session_timeout=30s"
    options: dict[str, Any] = {"connect_timeout": 5, "options": frozen} | parts.get("OPTIONS", {})
    pool = env.whole("RISK_DATABASE_POOL", 4, least=0, most=200)
    if pool:
        # No session state may be left on a connection: locks are the transaction's, never the session's. What cannot
        # connect gives up soon and begins anew, or its waits grow to minutes while the database is back.
        options["pool"] = {"min_size": 1, "max_size": pool, "timeout": 2, "reconnect_timeout": 2}
    return parts | {"ENGINE": "riskportal.database", "CONN_MAX_AGE": 0, "OPTIONS": options}


def _database() -> dict[str, Any]:
    url = env.url("DATABASE_URL", "postgresql", "postgres", "sqlite")
    if not url:
        return _sqlite(str(_data_dir() / "riskportal.sqlite3"))
    parts: dict[str, Any] = environ.Env.db_url_config(url)
    return _sqlite(parts["NAME"]) if url.startswith("sqlite") else _postgresql(parts)


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --------------------------------------------------------------------------------------- what checks go by
# These become part of the policy book, so that a decision can be evaluated again as it was.
RISK_STATE_MAX_AGE = env.duration("RISK_STATE_MAX_AGE", "5s")
RISK_PRICE_MAX_AGE = env.duration("RISK_PRICE_MAX_AGE", "5s")
RISK_CLOCK_TOLERANCE = env.duration("RISK_CLOCK_TOLERANCE", "2s")
RISK_RESERVATION_TTL = env.duration("RISK_RESERVATION_TTL", "60s", least="1s", most="30d")
RISK_MARGIN_RATE = env.decimal("RISK_MARGIN_RATE", "0.1", positive=True, most="1")
RISK_MARKET_SLIPPAGE = env.decimal("RISK_MARKET_SLIPPAGE", "0.001", most="1")
RISK_WARNING_UTILISATION = env.decimal("RISK_WARNING_UTILISATION", "0.75", positive=True, most="1")
RISK_CRITICAL_UTILISATION = env.decimal("RISK_CRITICAL_UTILISATION", "0.90", positive=True, most="1")
RISK_DAY_ZONE = env.zone("RISK_DAY_ZONE", "UTC")
RISK_DAY_ROLL_MINUTE = env.clock("RISK_DAY_ROLL", "00:00")
if RISK_WARNING_UTILISATION > RISK_CRITICAL_UTILISATION:
    refuse("RISK_WARNING_UTILISATION", str(RISK_WARNING_UTILISATION), "is above RISK_CRITICAL_UTILISATION")

# What the first policies are made with; later the policies themselves are what counts.
RISK_MAX_LEVERAGE = env.decimal("RISK_MAX_LEVERAGE", "10", positive=True, most="1000")
RISK_MAX_DRAWDOWN = env.decimal("RISK_MAX_DRAWDOWN", "0.20", positive=True, most="1")
RISK_EMERGENCY_THRESHOLD = env.decimal("RISK_EMERGENCY_THRESHOLD", "0.25", positive=True, most="1")

# How often every account is looked at; after how long without that the monitor is silent, and whether then only
# orders pass that reduce.
RISK_MONITOR_INTERVAL = env.duration("RISK_MONITOR_INTERVAL", "1s", least="200ms", most="1m")
RISK_MONITOR_SHARDS = env.whole("RISK_MONITOR_SHARDS", 1, least=1, most=64)
RISK_MONITOR_SILENCE = env.duration("RISK_MONITOR_SILENCE", "5s", least="1s", most="10m")
RISK_MONITOR_SILENCE_BLOCKS = env.flag("RISK_MONITOR_SILENCE_BLOCKS", default=False)
if RISK_MONITOR_SILENCE < 2 * RISK_MONITOR_INTERVAL:
    refuse("RISK_MONITOR_SILENCE", env.text("RISK_MONITOR_SILENCE", "5s"), "is less than twice RISK_MONITOR_INTERVAL")

# Whether a stop that an emergency policy calls closes positions as well.
RISK_EMERGENCY_UNWIND = env.flag("RISK_EMERGENCY_UNWIND", default=False)

RISK_POLICY_REFRESH = env.duration("RISK_POLICY_REFRESH", "30s", least="1s", most="1h")

# Within how long nobody is told twice of the same; and how many hard violations of an account trip what.
RISK_ALERT_WINDOW = env.duration("RISK_ALERT_WINDOW", "5m", least="1s", most="1d")
RISK_BREAKER_COUNT = env.whole("RISK_BREAKER_COUNT", 5, least=0, most=1_000)
RISK_BREAKER_BLOCKS = env.flag("RISK_BREAKER_BLOCKS", default=not EMBEDDED)
RISK_BREAKER_WINDOW = env.duration("RISK_BREAKER_WINDOW", "60s", least="1s", most="1d")
RISK_BREAKER_SCOPE = env.choice("RISK_BREAKER_SCOPE", "account", ("account", "global"))
RISK_BREAKER_STATE = env.choice("RISK_BREAKER_STATE", "HALTED", ("HALTED", "REDUCING"))

# Who else is told of alerts.
RISK_ALERT_WEBHOOK_URL = env.url("RISK_ALERT_WEBHOOK_URL", "https", "http")
RISK_ALERT_EMAIL_TO = env.names("RISK_ALERT_EMAIL_TO")

# After how long what a stop has not done yet is asked of the OMS no more, until a person says so.
RISK_UNWIND_TIMEOUT = env.duration("RISK_UNWIND_TIMEOUT", "5m", least="1s", most="1d")

# How many other people have to approve a change request that only tightens limits, and one that loosens them.
RISK_TIGHTENING_APPROVALS = env.whole("RISK_TIGHTENING_APPROVALS", 0, least=0, most=5)
RISK_LOOSENING_APPROVALS = env.whole("RISK_LOOSENING_APPROVALS", 1, least=0, most=5)

# When a rollout is paused: see .env.example.
RISK_ROLLOUT_TOLERANCE = env.decimal("RISK_ROLLOUT_TOLERANCE", "0.05", most="1")
RISK_ROLLOUT_LEAST_CHECKS = env.whole("RISK_ROLLOUT_LEAST_CHECKS", 200, least=1, most=1_000_000)

# Whether trading may only be re-enabled by somebody other than who stopped it.
RISK_REENABLE_BY_OTHERS = env.flag("RISK_REENABLE_BY_OTHERS", default=True)

# What the silence of an OMS that holds a lease does, where the lease itself asks for no more.
RISK_LEASE_ON_SILENCE = env.choice("RISK_LEASE_ON_SILENCE", "alert", ("alert", "reduce"))

# How long the bars are that are made of the prices received, besides those of a day.
RISK_PRICE_BARS = env.choice("RISK_PRICE_BARS", "1m", ("1m", "1h", "1d"))

# How often the equity of every account and of the firm is kept, with what charts show beside it.
RISK_EQUITY_INTERVAL = env.duration("RISK_EQUITY_INTERVAL", "60s", least="1s", most="1h")

# How often the keys are written that other programs read from Redis.
RISK_SHARED_KEYS_INTERVAL = env.duration("RISK_SHARED_KEYS_INTERVAL", "1s", least="1s", most="1m")

# Within how long a fall of equity is a rapid drawdown.
RISK_RAPID_WINDOW = env.duration("RISK_RAPID_WINDOW", "5m", least="10s", most="1d")

# Returns that value at risk is worked out from, and how long after the last of them it still is.
RISK_VAR_DAYS = env.whole("RISK_VAR_DAYS", 500, least=20, most=5_000)
RISK_VAR_HISTORY_MAX_AGE = env.duration("RISK_VAR_HISTORY_MAX_AGE", "10d", least="1d", most="36500d")

# How long history is kept, in days; 0: for ever.
RISK_PRICE_HISTORY_DAYS = env.whole("RISK_PRICE_HISTORY_DAYS", 0, least=0, most=36_500)
RISK_INTRADAY_HISTORY_DAYS = env.whole("RISK_INTRADAY_HISTORY_DAYS", 30, least=0, most=36_500)
RISK_EQUITY_HISTORY_DAYS = env.whole("RISK_EQUITY_HISTORY_DAYS", 30, least=0, most=36_500)
RISK_VIOLATION_HISTORY_DAYS = env.whole("RISK_VIOLATION_HISTORY_DAYS", 0, least=0, most=36_500)

# After how many days decisions and other evidence go from the database into files, and where to; 0: never.
RISK_EVIDENCE_DAYS = env.whole("RISK_EVIDENCE_DAYS", 0, least=0, most=36_500)
if 0 < RISK_EVIDENCE_DAYS < 7:
    refuse(
        "RISK_EVIDENCE_DAYS", str(RISK_EVIDENCE_DAYS), "must be 0 or at least 7: previews and recovery read decisions"
    )
RISK_ARCHIVE_DIR = Path(env.text("RISK_ARCHIVE_DIR") or RISK_DATA_DIR / "archive")

# How long the files of reports are kept, in days; up to how many MB they go by e-mail; which addresses they may be sent
# to beside those of people who may see them; and where these pages are, for the links in such mails.
RISK_REPORT_DAYS = env.whole("RISK_REPORT_DAYS", 30, least=1, most=36_500)
RISK_REPORT_MAIL_LIMIT = env.whole("RISK_REPORT_MAIL_LIMIT", 10, least=0, most=1_000)
RISK_REPORT_MAIL_DOMAINS = env.names("RISK_REPORT_MAIL_DOMAINS")
RISK_PUBLIC_URL = env.url("RISK_PUBLIC_URL", "https", "http").rstrip("/")


def _recovery_hold() -> timedelta | None:
    """Return how long approvals are held back after a loss; None: as long as a reservation may live."""
    text = env.text("RISK_RECOVERY_HOLD")
    if not text:
        return None
    return timedelta() if text == "0s" else env.duration("RISK_RECOVERY_HOLD", text, most="30d")


RISK_RECOVERY_HOLD = _recovery_hold()

# ------------------------------------------------------------------------- what is asked for before a check
RISK_CACHE_TTL = env.duration("RISK_CACHE_TTL", "100ms", least="1ms", most="1s")
RISK_ACCOUNT_MONITOR_URL = env.address("RISK_ACCOUNT_MONITOR_URL", "grpc", "grpcs")
RISK_ACCOUNT_MONITOR_TIMEOUT = env.duration("RISK_ACCOUNT_MONITOR_TIMEOUT", "50ms", least="1ms", most="5s")
RISK_ACCOUNT_MONITOR_FAILURES = env.whole("RISK_ACCOUNT_MONITOR_FAILURES", 5, least=1, most=1_000)
RISK_ACCOUNT_MONITOR_PAUSE = env.duration("RISK_ACCOUNT_MONITOR_PAUSE", "1s", least="10ms", most="1m")

RISK_PRICE_PROVIDER = env.choice("RISK_PRICE_PROVIDER", "feeds", ("feeds", "redis"))
MARKET_REDIS_URL = env.url("MARKET_REDIS_URL", "redis", "rediss", "unix") or redis_database(REDIS_URL, 1)
# How long the keys of prices live from their writing on; None: nobody says.
_ttl = env.text("RISK_PRICE_KEY_TTL")
RISK_PRICE_KEY_TTL = env.duration("RISK_PRICE_KEY_TTL", _ttl, least="1ms", most="1d") if _ttl else None
if RISK_PRICE_PROVIDER == "redis":
    if not MARKET_REDIS_URL:
        refuse("MARKET_REDIS_URL", None, "is needed with RISK_PRICE_PROVIDER=redis where there is no REDIS_URL")
    if RISK_PRICE_KEY_TTL is None and 5 * RISK_CACHE_TTL >= RISK_PRICE_MAX_AGE:
        refuse("RISK_CACHE_TTL", None, "must be below a fifth of RISK_PRICE_MAX_AGE, or RISK_PRICE_KEY_TTL be set")

# ------------------------------------------------------------------------------------------------- Django
ROOT_URLCONF = "riskportal.urls"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Its check before deployment asks for schemas that it makes itself of each view; ours has one document, with tests.
SPECTACULAR_SETTINGS = {"ENABLE_DJANGO_DEPLOY_CHECK": False}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
# An audit trail is read to the second, and in a form that sorts.
FORMAT_MODULE_PATH = ["riskportal.formats"]

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
    "reports": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": RISK_DATA_DIR / "reports",
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}
# Served from the packages themselves where nobody has run collectstatic, which is no fault.
WHITENOISE_USE_FINDERS = not STATIC_ROOT.exists()
warnings.filterwarnings("ignore", "No directory at", UserWarning)

# Counting migrations would open a connection to the database in every process that starts.
PROMETHEUS_EXPORT_MIGRATIONS = False

LOGGING = logging.configuration(
    env.choice("RISK_LOG_FORMAT", "console" if EMBEDDED or DEBUG else "json", logging.FORMATS),
    env.choice("RISK_LOG_LEVEL", "WARNING" if EMBEDDED else "INFO", logging.LEVELS),
)

# ----------------------------------------------------------------------------------------------- security
ALLOWED_HOSTS = env.names("RISK_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.names("RISK_TRUSTED_ORIGINS")

# Production is reached over HTTPS alone; an embedded process answers plain HTTP on its own loopback.
RISK_HTTPS = env.flag("RISK_HTTPS", default=not (EMBEDDED or DEBUG))
if RISK_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    # Probes and scrapers come from inside, past the proxy.
    SECURE_REDIRECT_EXEMPT = [r"^(health|ready|metrics)$"]
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = RISK_HTTPS
CSRF_COOKIE_SECURE = RISK_HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = int(env.duration("RISK_SESSION_AGE", "12h", least="1m", most="30d").total_seconds())
CSRF_COOKIE_SAMESITE = "Strict"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
LOGIN_URL = "access:sign-in"
LOGIN_REDIRECT_URL = "/"

# Who has to give a code besides the password, and after how long of nothing people are signed out.
RISK_REQUIRE_SECOND_FACTOR = env.choice("RISK_REQUIRE_SECOND_FACTOR", "off", ("off", "operators", "all"))
RISK_SESSION_IDLE = env.duration("RISK_SESSION_IDLE", "1h", least="1m", most="30d")

# After how many wrong passwords or codes a name is locked out, and for how long; how many proxies in front say whom
# they were asked by.
RISK_LOCKOUT_FAILURES = env.whole("RISK_LOCKOUT_FAILURES", 5, least=3, most=100)
RISK_LOCKOUT_TIME = env.duration("RISK_LOCKOUT_TIME", "15m", least="1m", most="1d")
RISK_PROXIES = env.whole("RISK_PROXIES", 0 if EMBEDDED else 1, least=0, most=8)

AUTHENTICATION_BACKENDS = ["access.lockout.NotLockedOut", "audit.rights.Rights"]
# By name and address together: nobody can lock an officer out from elsewhere, and an office behind one address is not
# locked out as a whole. What was typed is not kept (it may be a password), nor who was let in: the audit log has that.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = RISK_LOCKOUT_FAILURES
AXES_COOLOFF_TIME = RISK_LOCKOUT_TIME
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_HANDLER = "access.lockout.Recorded"
AXES_LOCKOUT_CALLABLE = "access.lockout.locked_out_page"
AXES_CLIENT_IP_CALLABLE = "access.addresses.address_of"
AXES_USERNAME_CALLABLE = "access.lockout.name_of"
AXES_SENSITIVE_PARAMETERS = [
    "username",
    "code",
    "old_password",
    "new_password1",
    "new_password2",
    "csrfmiddlewaretoken",
]
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

_VALIDATORS = "django.contrib.auth.password_validation."
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATORS}UserAttributeSimilarityValidator"},
    {"NAME": f"{_VALIDATORS}MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATORS}CommonPasswordValidator"},
    {"NAME": f"{_VALIDATORS}NumericPasswordValidator"},
]


# --------------------------------------------------------------------------------------------- browsers
# What reaches them keeps nothing (decision 0027): in memory where there is one process, or else over Redis' PUBLISH.
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    # Who listens does so as long as the process lives.
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 1_000, "group_expiry": 2**40}}
    if EMBEDDED
    else {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL}], "prefix": "riskportal"},
    },
}
RISK_LIVE_PORT = env.whole("RISK_LIVE_PORT", 8105, least=1, most=65535)


# ------------------------------------------------------------------------------------------------- e-mail
_mail = mail_server(env.url("RISK_EMAIL_URL", "smtp", "smtp+tls", "smtp+ssl"), is_needed=bool(RISK_ALERT_EMAIL_TO))
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _mail.backend, _mail.host, _mail.port
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.use_tls, _mail.use_ssl
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.user, _mail.password
EMAIL_TIMEOUT = 5
DEFAULT_FROM_EMAIL = env.text("RISK_EMAIL_FROM", "riskportal@localhost")
check_addresses("RISK_ALERT_EMAIL_TO", RISK_ALERT_EMAIL_TO)
check_addresses("RISK_EMAIL_FROM", [DEFAULT_FROM_EMAIL])

# ------------------------------------------------------------------------------------------ look of admin
UNFOLD = LOOK
