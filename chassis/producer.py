"""The way to Kafka: one idempotent producer per process, used by the relay and by projections.

aiokafka's own, not FastStream's publish: it would add headers that are not the fact's and costs more than the rest
of the loop together (ADR 0002).
"""

import asyncio
import ssl
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chassis.settings import Settings

log = structlog.stdlib.get_logger()

START_RETRY_S = 1.0
BATCH_MAX_BYTES = 256 * 1024
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


class Producer:
    """Starts in the background and is renewed after an error, so that a process serves while Kafka is away."""

    def __init__(self, settings: Settings, *, service: str) -> None:
        self._settings = settings
        self._service = service
        self._client: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

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
            log.warning("kafka is not there yet", error=repr(error), retry_s=START_RETRY_S)
            await asyncio.sleep(START_RETRY_S)
            return None
        except BaseException:
            await client.stop()
            raise
        return client

    async def send(self, topic: str, *, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> Sent:
        """Enqueue; the future is done when all replicas in sync have it. Order is kept per key. Raises KafkaDown."""
        client = await self._started()
        try:
            return await client.send(topic, value, key=key, headers=headers)
        except (KafkaError, OSError) as error:
            await self.renew()
            raise KafkaDown(f"sending to {topic}") from error

    async def wait(self, sent: list[Sent]) -> None:
        """Until all are acknowledged. Raises KafkaDown when any is not; all may be sent again."""
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        for outcome in outcomes:
            # Cancelled: another task put the client aside while this one waited.
            if isinstance(outcome, KafkaError | OSError | asyncio.CancelledError):
                await self.renew()
                raise KafkaDown("waiting for acknowledgements") from outcome
            if isinstance(outcome, BaseException):
                raise outcome

    async def renew(self) -> None:
        """Put the client aside: after some errors an idempotent producer never sends again."""
        client, self._client = self._client, None
        if client is not None:
            await self._close(client)

    async def stop(self) -> None:
        """Send what is enqueued, then close."""
        await self.renew()

    @staticmethod
    async def _close(client: AIOKafkaProducer) -> None:
        try:
            await asyncio.wait_for(client.stop(), timeout=5)
        except (KafkaError, OSError, TimeoutError) as error:
            # Whatever it still held is in an outbox or before an uncommitted offset, and comes again.
            log.warning("producer did not close cleanly", error=repr(error))
