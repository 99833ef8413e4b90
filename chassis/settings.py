"""Settings from the environment. Each value is documented once, here: unit, default, effect."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What every service reads. The variable is the field's name in capitals, without a prefix."""

    model_config = SettingsConfigDict(frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)

    role: Literal["api", "worker", "both"] = "both"
    """`api` answers HTTP, `worker` consumes; both relay what they commit. The two scale apart."""

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    """host:port, several separated by commas."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    """PEM file with the authority that signed the brokers' certificates; unset: the system's."""
    kafka_session_timeout_ms: Annotated[int, Field(ge=1_000)] = 15_000
    """After this silence a worker is thought dead and its partitions go to others."""
    kafka_linger_ms: Annotated[int, Field(ge=0, le=1_000)] = 2
    """How long a send waits for company. Higher: fewer requests, later scores."""
    batch_max_records: Annotated[int, Field(ge=1, le=5_000)] = 500
    """Records handled together. Higher: more per second, more to repeat after a crash."""
    batch_wait_ms: Annotated[int, Field(ge=1, le=1_000)] = 10
    """How long an idle consumer waits for records before it asks again."""
    revoke_wait_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """When partitions go to another worker, a running batch may finish for so long, then it is abandoned."""
    stand_still_s: Annotated[float, Field(gt=0)] = 30.0
    """How long a consumer that every record fails in stands still before it tries one more batch."""

    mongodb_uri: SecretStr = SecretStr("mongodb://127.0.0.1:27017/?replicaSet=rs0")
    """May carry a user of the service's own; never logged."""
    mongodb_database: str | None = None
    """Unset: the service's name. No two services share a database."""
    mongodb_timeout_ms: Annotated[int, Field(ge=100)] = 5_000
    """How long one operation may take before the database counts as down."""

    oidc_issuer: str = "http://127.0.0.1:8080/realms/livinglab"
    """Whose tokens are believed: their `iss`, and where its keys are found."""
    oidc_address: str | None = None
    """Where the issuer is asked for its keys, where its own address leads elsewhere (behind a proxy). Unset: there."""
    oidc_audience: str = "livinglab-api"
    """A token must be meant for us: its `aud`."""

    otel_exporter_otlp_endpoint: str | None = None
    """Where traces go (OTLP over HTTP). Unset: nowhere."""
    traces_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of traces kept, decided where a trace begins."""
    metrics_host: str = "127.0.0.1"
    """Where Prometheus scrapes; in a container 0.0.0.0."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 9464
    """0 takes a free port, which is logged."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    cors_origins: str = ""
    """Origins whose pages may call this service from a browser, separated by commas. Empty: none."""
    body_max_bytes: Annotated[int, Field(ge=1_024)] = 262_144
    """A larger request is refused (413)."""
    body_max_depth: Annotated[int, Field(ge=2)] = 12
    """A deeper nested request is refused (400)."""
    rate_limit_per_minute: Annotated[int, Field(ge=1)] = 6_000
    """Requests per caller and process; more are refused (429)."""
    regions_file: Path | None = None
    """Another list of regions than the committed one: for load tests, and tests of what becomes of regions."""
