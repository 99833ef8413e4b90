"""What notify reads beyond the chassis' settings. Each value is documented once, here."""

from typing import Annotated

from pydantic import Field, SecretStr

from chassis.settings import Settings
from services.notify.domain.endpoint import FIRST_PAUSE_S
from services.notify.domain.schedule import DIGEST_EVERY_S, SCHEDULE_S


class NotifySettings(Settings):
    """The variable is the field's name in capitals, without a prefix."""

    webhook_signing_key: SecretStr | None = None
    """Ed25519 private key that signs every webhook (`v1a`): its 32 bytes in base64. Must be set, alike everywhere."""
    webhook_sealing_keys: SecretStr | None = None
    """Fernet keys, separated by commas, that subscribers' secrets are sealed with: the first seals, all open. Must be
    set."""
    webhook_origin: Annotated[str, Field(min_length=1, max_length=253)] = "livinglab.id"
    """Who we are in the CloudEvents handshake (`WebHook-Request-Origin`): a DNS name."""
    webhook_ports: str = "443,8443"
    """Ports that endpoints may listen on."""
    webhook_lab: bool = False
    """For development: endpoints on this very machine may be called, over http and on any port."""
    webhook_timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0
    """An attempt that takes longer has failed."""
    webhook_schedule_s: tuple[float, ...] = SCHEDULE_S
    """Seconds before each attempt, as a JSON list. Tests run it with seconds for hours."""
    webhook_pause_s: Annotated[float, Field(gt=0)] = FIRST_PAUSE_S
    """An endpoint that failed five times in a row is spared for so long, then twice as long, up to thirty times."""
    webhook_disable_after_s: Annotated[float, Field(gt=0)] = 5 * 86_400.0
    """An endpoint that took nothing for so long is given up."""
    webhook_concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    """Requests in flight to one endpoint."""
    webhook_in_flight_max: Annotated[int, Field(ge=1, le=4_096)] = 256
    """Requests in flight from one process."""
    smtp_uri: SecretStr | None = None
    """The mail server that takes our e-mails: `smtp://user:password@host:587` (STARTTLS), `smtps://…:465`, or, on this
    very machine alone, `smtp+plain://…`. Without it nobody can subscribe by e-mail."""
    smtp_timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0
    """A letter that takes longer to hand over has failed for now."""
    smtp_concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Letters handed over at once by one process."""
    email_from: Annotated[str, Field(min_length=3, max_length=320)] = "Living Lab <kabar@livinglab.id>"
    """Whom e-mails are from; its domain is that of their Message-ID."""
    email_digest_every_s: Annotated[float, Field(gt=0)] = DIGEST_EVERY_S
    """Between two digests. Tests run it with seconds for a day."""
    public_address: Annotated[str, Field(pattern=r"^https?://[^/?#]+$")] = "http://localhost:8080"
    """Where people reach this service: what links in e-mails begin with."""
    streams_max: Annotated[int, Field(ge=1)] = 1_000
    """Live streams open in one process; more are refused (503)."""
    streams_per_organization_max: Annotated[int, Field(ge=1)] = 20
    """Of them, of one organization; more are refused (429)."""
    stream_catch_ups_max: Annotated[int, Field(ge=1)] = 8
    """Streams that read what they missed, at once; more are refused (503)."""
    stream_catch_up_records_max: Annotated[int, Field(ge=0)] = 20_000
    """A stream that missed more records is told to begin anew (`reset`). About a second of CPU."""
    stream_buffer_bytes: Annotated[int, Field(ge=1)] = 4 * 1_048_576
    """Waiting to be sent to one stream; one that lets more gather is ended. Streams share what waits for several."""
    stream_heartbeat_s: Annotated[float, Field(gt=0)] = 15.0
    """A stream with nothing to tell says so, this often. Shorter than what proxies wait."""
    stream_rights_every_s: Annotated[float, Field(gt=0)] = 5.0
    """How often rights are read again. A right that changed ends its organization's streams within so long."""
    retention_days: Annotated[int, Field(ge=6, le=365)] = 30
    """Events, deliveries and attempts are kept for so long: longer than the last retry."""
