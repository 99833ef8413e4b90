"""The way to Kafka: one idempotent producer per process, used by the relay and by projections.

aiokafka's own, not FastStream's publish: it would add headers that are not the fact's and costs more than the rest
of the loop together (ADR 0002).
"""

import asyncio
import ssl
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)

from chassis.settings import Settings

log = structlog.stdlib.get_logger()

START_RETRY_S = 1.0
PATIENCE_S = 10.0
"""How long anybody waits for Kafka before saying that it is away; whatever waits then comes again."""
BATCH_MAX_BYTES = 256 * 1024
CLOSE_WAIT_S = 5.0
REFUSALS = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
"""Kafka is there, and does not let this user do what it asks: somebody has to grant it, or to correct a password."""
Sent = asyncio.Future[Any]


class KafkaDown(Exception):
    """Kafka could not take or give what it was asked; nothing is lost, the caller comes again."""


def client_options(settings: Settings) -> dict[str, Any]:
    """Address and security, as aiokafka's clients take them."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers.split(","),
        "security_protocol": settings.kafka_security_protocol,
        "metadata_max_age_ms": 10_000,  # a rebuilt topic is noticed within seconds
    }
    if settings.kafka_security_protocol.startswith("SASL"):
        password = settings.kafka_sasl_password
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
    return options


def say_it_is_away(error: BaseException, settings: Settings, *, retry_s: float) -> None:
    """To the log: that Kafka can't be reached, or that it refuses this user."""
    if isinstance(error, REFUSALS):
        user = settings.kafka_sasl_username
        log.error("kafka refuses this user: grant the right, or correct the password", user=user, error=repr(error))
    else:
        log.warning("kafka is not there yet", error=repr(error), retry_s=retry_s)


class Producer:
    """Starts in the background and is renewed after an error, so that a process serves while Kafka is away."""

    def __init__(self, settings: Settings, *, service: str) -> None:
        self._settings = settings
        self._service = service
        self._client: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def _started(self) -> AIOKafkaProducer:
        if self._client is None:
            async with self._starting:
                while self._client is None:
                    self._client = await self._try_start()
        return self._client

    async def _try_start(self) -> AIOKafkaProducer | None:
        client = AIOKafkaProducer(
            **client_options(self._settings),
            client_id=self._service,
            acks="all",
            enable_idempotence=True,
            linger_ms=self._settings.kafka_linger_ms,
            max_batch_size=BATCH_MAX_BYTES,
            request_timeout_ms=20_000,
        )
        try:
            await client.start()
        except (KafkaError, OSError) as error:
            await client.stop()
            say_it_is_away(error, self._settings, retry_s=START_RETRY_S)
            await asyncio.sleep(START_RETRY_S)
            return None
        except BaseException:
            await client.stop()
            raise
        return client

    async def send(self, topic: str, *, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> Sent:
        """Enqueue; the future is done when all replicas in sync have it. Order is kept per key. Raises KafkaDown."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                client = await self._started()
        except TimeoutError as error:
            raise KafkaDown("Kafka is not there yet") from error
        try:
            return await client.send(topic, value, key=key, headers=headers)
        except KafkaTimeoutError as error:
            # Its buffer is full because Kafka is away; it is not broken. A new client each time would fill another.
            raise KafkaDown(f"sending to {topic}") from error
        except TopicAuthorizationFailedError as error:  # before it took anything: it is not broken either
            raise KafkaDown(self._refused(error)) from error
        except (KafkaError, OSError) as error:
            self._put_aside(client)
            raise KafkaDown(f"sending to {topic}") from error

    async def wait(self, sent: list[Sent]) -> None:
        """Until all are acknowledged. Raises KafkaDown when any is refused, or after PATIENCE_S: aiokafka itself never
        gives up a batch, so those may still arrive. All may be sent again.
        """
        client = self._client
        if sent:
            _, late = await asyncio.wait(sent, timeout=PATIENCE_S)
            if late:
                raise KafkaDown(f"{len(late)} of {len(sent)} not acknowledged within {PATIENCE_S:.0f} s")
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        for outcome in outcomes:
            # Cancelled: another task put the client aside while this one waited.
            if isinstance(outcome, KafkaError | OSError | asyncio.CancelledError):
                self._put_aside(client)
                refused = isinstance(outcome, REFUSALS)
                raise KafkaDown(self._refused(outcome) if refused else "waiting for acknowledgements") from outcome
            if isinstance(outcome, BaseException):
                raise outcome

    def _refused(self, error: BaseException) -> str:
        return f"user {self._settings.kafka_sasl_username} may not write: {error!r}"

    def _put_aside(self, client: AIOKafkaProducer | None) -> None:
        """Never send with this one again: after some errors an idempotent producer can't. Others may wait for what it
        still holds, so it closes when that is sent; whoever was first has put the next one in its place already.
        """
        if client is not None and client is self._client:
            self._client = None
            closing = asyncio.create_task(self._close(client))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Send what is enqueued, then close; after CLOSE_WAIT_S without."""
        self._put_aside(self._client)
        if self._closing:
            _, unsent = await asyncio.wait(self._closing, timeout=CLOSE_WAIT_S)
            for closing in unsent:
                # Whatever it still holds is in an outbox or before an uncommitted offset, and comes again.
                log.warning("producer stops before all is sent")
                closing.cancel()

    @staticmethod
    async def _close(client: AIOKafkaProducer) -> None:
        try:
            await client.stop()
        except (KafkaError, OSError) as error:
            log.warning("producer did not close cleanly", error=repr(error))
