"""Django's settings: one code path for every profile, which differ in URLs only."""

from pathlib import Path

from csp.constants import NONCE, NONE, SELF

from config import environment as env

ROOT = env.ROOT
DATA_DIR = Path(env.text("DATA_DIR", str(ROOT / ".upend"))).resolve()

# --- Security -------------------------------------------------------------------------------
DEBUG = env.flag("DEBUG")
SECRET_KEY = env.text("SECRET_KEY", "insecure-only-for-commands-that-serve-nothing")
PUBLIC_URL = env.text("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.text("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
IS_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = IS_HTTPS
SESSION_COOKIE_NAME = "upend_session"
CSRF_COOKIE_NAME = "upend_csrf"
SECURE_REDIRECT_EXEMPT = [
    r"^health/",
    r"^metrics$",
]  # machines ask by plain HTTP
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_HTTPS
BEHIND_PROXY = env.flag("BEHIND_PROXY")
"""One trusted reverse proxy is in front and sets X-Forwarded-Proto and X-Forwarded-For."""
ALLAUTH_TRUSTED_PROXY_COUNT = int(BEHIND_PROXY)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
KEY_PROVIDER = env.text("KEY_PROVIDER", "file")
"""What wraps the keys of secrets at rest: file, environment, aws-kms or vault."""
KEY_FILE = Path(env.text("KEY_FILE", str(DATA_DIR / "keys" / "key-encryption.key")))
"""32 random bytes in base64 on each line; the first wraps. Back it up apart from the database."""
KEYS = env.text("KEYS")
AWS_KMS_KEYS = env.words("AWS_KMS_KEYS")
VAULT_URL = env.text("VAULT_URL").rstrip("/")
VAULT_TOKEN_FILE = Path(env.text("VAULT_TOKEN_FILE", str(DATA_DIR / "keys" / "vault-token")))
VAULT_KEYS = env.words("VAULT_KEYS")

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [
            SELF,
            *filter(None, [env.text("S3_PUBLIC_ENDPOINT", env.text("S3_ENDPOINT"))]),
        ],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# --- Applications ---------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "template_partials",
    "rest_framework",
    "drf_spectacular",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.idp.oidc",
    "accounts",
    "workspaces",
    "audit",
    "api",
    "console",
    "governance",
    "catalog",
    "execution",
    "embedded",
    "demo",
    "config",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "api.middleware.RequestIdMiddleware",
    "observability.middleware.ObserveMiddleware",
    "api.middleware.ProgramsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "console.middleware.ProblemPageMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "console.context.shell",
            ]
        },
    }
]

# --- State ----------------------------------------------------------------------------------
DATABASE_URL = env.text("DATABASE_URL", "postgresql:///upend")
DATABASES = {
    "default": env.database(
        DATABASE_URL,
        pool_size=env.number("DATABASE_POOL_SIZE", 0),
        prepares=env.flag("DATABASE_PREPARE", default=True),
    )
}
BROKER_URL = env.text("BROKER_URL", "redis://127.0.0.1:6379/0")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": BROKER_URL,
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 5},
    }
}

REQUIRE_FULL_ISOLATION = env.flag("REQUIRE_FULL_ISOLATION")
"""Start nothing where the sandbox lacks a layer: docs/how-to/run-with-full-isolation.md."""

S3 = {
    "endpoint": env.text("S3_ENDPOINT", "http://127.0.0.1:8333"),
    "public_endpoint": env.text(
        "S3_PUBLIC_ENDPOINT", env.text("S3_ENDPOINT", "http://127.0.0.1:8333")
    ),
    "region": env.text("S3_REGION", "us-east-1"),
    "access_key_id": env.text("S3_ACCESS_KEY_ID"),
    "secret_access_key": env.text("S3_SECRET_ACCESS_KEY"),
    "bucket": env.text("S3_BUCKET", "upend"),
}
"""Upend's own storage: hosted catalogs and results. `public_endpoint` is what clients can reach."""
STORAGE_ALLOWED_HOSTS = frozenset(env.words("STORAGE_ALLOWED_HOSTS"))
"""`host:port` of customers' storage and databases that need not be on the public internet."""

HOST_IDENTITY = env.flag("HOST_IDENTITY")
"""Let workspaces connect buckets by the identity of this host (web identity, instance profile)."""

# --- Who acts -------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Upend"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not IS_HTTPS
IDP_OIDC_ADAPTER = "accounts.adapter.OIDCAdapter"
IDP_OIDC_PRIVATE_KEY = (
    (DATA_DIR / "keys" / "oidc.pem").read_text()
    if (DATA_DIR / "keys" / "oidc.pem").exists()
    else ""
)
# A login takes two looks at its code (page, answer); a whole office may share one address. Codes
# have eight letters and live for five minutes: thirty guesses a minute find none.
IDP_OIDC_RATE_LIMITS = {"device_user_code": "30/m/ip"}
IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN = 3600
IDP_OIDC_REFRESH_TOKEN_EXPIRES_IN = 30 * 24 * 3600
TOKEN_MAX_DAYS = env.number("TOKEN_MAX_DAYS", 365)
"""No API token lives longer than this."""
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

# --- API ------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.BearerAuthentication",
        "api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["api.permissions.HasActor"],
    "DEFAULT_PAGINATION_CLASS": "api.pagination.CursorPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "api.errors.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,  # `?format=` belongs to the views that offer files
    "PAGE_SIZE": 50,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Upend",
    "VERSION": "1",
    "DESCRIPTION": "Hybrid compute over DuckLake: plan, run anywhere, prove what happened.",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "AdoptionModeEnum": "catalog.domain.AdoptionMode",
        "AdoptionStateEnum": "catalog.domain.AdoptionState",
        "UploadModeEnum": "catalog.domain.UploadMode",
        "AccessRequestStateEnum": "governance.domain.RequestState",
        "ConnectorFileStateEnum": "catalog.domain.ConnectorFileState",
        "ConnectorKindEnum": "catalog.domain.ConnectorKind",
        "ConnectorModeEnum": "catalog.domain.ConnectorMode",
        "CheckOutcomeEnum": "catalog.buckets.report.OUTCOMES",
        "PlaceEnum": "execution.domain.Place",
        "PolicyKindEnum": "governance.domain.PolicyKind",
        "PolicyVersionStateEnum": "governance.domain.VersionState",
        "RequestedPlaceEnum": "execution.domain.RequestedPlace",
    },
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.schema.add_problems",
    ],
}

# --- What runs ------------------------------------------------------------------------------
CELERY_BROKER_URL = BROKER_URL
CELERY_BROKER_TRANSPORT = "config.transport:Transport"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False  # PostgreSQL rows are the queue; a message only says "look now"
CELERY_TASK_DEFAULT_QUEUE = "query"
CELERY_TASK_ROUTES = {
    "audit.*": {"queue": "upkeep"},
    "catalog.maintain": {"queue": "upkeep"},
    "catalog.measure": {"queue": "upkeep"},
    "catalog.pull": {"queue": "upkeep"},  # a slow database keeps no writer waiting
    "catalog.*": {"queue": "catalog"},
    "execution.run_queries": {"queue": "query"},
    "execution.write_extracts": {"queue": "query"},
    "execution.*": {"queue": "upkeep"},  # sweeps and exports wait behind no query
    "governance.*": {"queue": "upkeep"},
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_DB_REUSE_MAX = 2**62
"""Celery's own habit is a new connection for each task: `config.celery` closes what is broken."""
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    "max_retries": 0,  # of a publisher's connection; workers reconnect by their own rules
}
CELERY_TASK_PUBLISH_RETRY = False  # submitting never waits for a broker that is down
CELERY_BEAT_SCHEDULE: dict[str, dict[str, object]] = {
    "sweep-queries": {
        "task": "execution.sweep_queries",
        "schedule": 2.0,
        "options": {"expires": 4},
    },
    "sweep-jobs": {"task": "catalog.sweep_jobs", "schedule": 2.0, "options": {"expires": 4}},
    "sweep-adoptions": {
        "task": "catalog.sweep_adoptions",
        "schedule": 5.0,
        "options": {"expires": 10},
    },
    "remove-dropped-catalogs": {"task": "catalog.remove_dropped", "schedule": 300.0},
    "publish-due-connectors": {
        "task": "catalog.publish_due_connectors",
        "schedule": 5.0,
        "options": {"expires": 10},
    },
    "expire-transfers": {"task": "catalog.expire_transfers", "schedule": 600.0},
    "retire-bucket-keys": {"task": "catalog.retire_bucket_keys", "schedule": 3600.0},
    "expire-batches": {"task": "catalog.expire_batches", "schedule": 300.0},
    "maintain": {"task": "catalog.maintain", "schedule": 15.0, "options": {"expires": 30}},
    "measure": {"task": "catalog.measure", "schedule": 60.0, "options": {"expires": 60}},
    "expire-results": {"task": "execution.expire_results", "schedule": 300.0},
    "expire-extracts": {"task": "execution.expire_extracts", "schedule": 60.0},
    "take-checkpoint": {"task": "audit.take_checkpoint", "schedule": 3600.0},
    "sweep-orphans": {"task": "execution.sweep_orphans", "schedule": 3600.0},
    "recheck-policies": {"task": "governance.recheck_policies", "schedule": 3600.0},
    "sweep-replays": {"task": "governance.sweep_replays", "schedule": 15.0},
    "retire-expired-policies": {"task": "governance.retire_expired", "schedule": 60.0},
}
UPLOAD_MAX_BYTES = env.number("UPLOAD_MAX_BYTES", 5 * 10**9)
TRANSFER_MAX_BYTES = env.number("TRANSFER_MAX_BYTES", 10**12)
"""The largest file that goes part by part straight to the storage."""
TRANSFER_TTL_SECONDS = env.number("TRANSFER_TTL_SECONDS", 24 * 3600)
INGEST_MAX_BYTES = env.number("INGEST_MAX_BYTES", 64 * 2**20)
"""The largest body of rows; what is larger is uploaded as a file."""
INGEST_WAITING_BYTES = env.number("INGEST_WAITING_BYTES", 512 * 2**20)
"""Rows that one catalog lets wait for their commit; a workspace has twice that."""
INGEST_KEEP_SECONDS = env.number("INGEST_KEEP_SECONDS", 24 * 3600)
RESULT_TTL_SECONDS = env.number("RESULT_TTL_SECONDS", 24 * 3600)
QUERY_SLOTS = env.number("QUERY_SLOTS", 0)
"""Queries that one worker machine runs at a time; 0 is as many as the worker has threads."""
QUERY_MEMORY_BYTES = env.number("QUERY_MEMORY_BYTES", 0)
"""What the queries of one worker machine may hold together; 0 is 60 % of its memory."""
FILE_CACHE_BYTES = env.number("FILE_CACHE_BYTES", 2**28)
"""What one worker keeps at most of files that its engines ask for again and again; 0 is nothing."""
EXTRACT_TTL_SECONDS = env.number("EXTRACT_TTL_SECONDS", 24 * 3600)
GRANT_TTL_SECONDS = env.number("GRANT_TTL_SECONDS", 600)
MAINTENANCE_SAFE_SECONDS = env.number("MAINTENANCE_SAFE_SECONDS", 3600)
"""No replaced file of a lake is deleted sooner, whoever reads."""
MAINTENANCE_ORPHAN_SECONDS = env.number("MAINTENANCE_ORPHAN_SECONDS", 7 * 24 * 3600)
"""How old an object in a lake's prefix that no metadata names must be to be deleted."""
HEARTBEAT_TIMEOUT_SECONDS = env.number("HEARTBEAT_TIMEOUT_SECONDS", 10)

DEMO_SCALE = float(env.text("DEMO_SCALE", "0.1"))

# --- What is seen ---------------------------------------------------------------------------
LOGGING_CONFIG = "observability.logs.configure"
LOGGING = {"format": env.text("LOG_FORMAT", "json"), "level": env.text("LOG_LEVEL", "INFO")}
TRACES = env.text("TRACES")
"""Read by `observability.tracing`: `on` or `off`; without, an OTLP endpoint switches them on."""
METRICS_TOKEN = env.text("METRICS_TOKEN")
"""The bearer that may read /metrics from elsewhere; without, only this machine may."""
WORKER_METRICS_PORT = env.number("WORKER_METRICS_PORT", 0)
"""Where a worker answers scrapes by itself; 0 is nowhere."""
METRICS_DIR = env.text("METRICS_DIR")
"""Read by `observability.registry` before anything else: here only to be known."""

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [ROOT / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20
FILE_UPLOAD_MAX_MEMORY_SIZE = 2**20
