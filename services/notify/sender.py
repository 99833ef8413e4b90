"""Hands one event to one endpoint, signed; and asks an endpoint whether it wants our events."""

from dataclasses import dataclass
from time import time
from types import TracebackType
from typing import Self

from opentelemetry import trace
from opentelemetry.context import Context

from chassis.clock import now
from chassis.store import Document
from chassis.telemetry import Telemetry, about_fact, is_sampled, remote, traceparent_of
from contracts.telemetry.spans import WEBHOOK
from services.notify.domain.event import CONTENT_TYPE
from services.notify.domain.signature import signed_headers
from services.notify.domain.subscription import Subscription, good_secrets
from services.notify.keys import Keys
from services.notify.settings import NotifySettings
from services.notify.webhook import Answer, Webhooks

RATE_ASKED = "600"
"""Requests a minute that we ask an endpoint to allow; `*` in its answer means as many as come."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What an endpoint said to the handshake; `failure` is a stable code, None where it agreed."""

    failure: str | None
    status: int | None
    allowed_rate: int | None = None


class Sender:
    """One per process that sends; `async with` closes its connections."""

    def __init__(self, keys: Keys, settings: NotifySettings, telemetry: Telemetry) -> None:
        self._keys = keys
        self._origin = settings.webhook_origin
        self._telemetry = telemetry
        self._http = Webhooks(
            timeout_s=settings.webhook_timeout_s,
            lab=settings.webhook_lab,
            in_flight_max=settings.webhook_in_flight_max,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.close()

    async def send(self, event: Document, subscription: Subscription, *, replay: str | None = None) -> Answer:
        """One attempt. The same id and the same bytes each time; time and signature are the attempt's own.

        What is sent again because it was asked for has a trace of its own, linked to the one that it once ended.
        """
        body = bytes(event["body"])
        secrets = [self._keys.open(sealed) for sealed in good_secrets(subscription, now=now())]
        headers = signed_headers(event["id"], body, seconds=int(time()), secrets=secrets, key=self._keys.signing)
        headers["Content-Type"] = CONTENT_TYPE
        traceparent: str | None = event["traceparent"]
        if not is_sampled(traceparent):
            return await self._post(subscription, body, headers, traceparent)
        caused = remote(traceparent)
        attributes = about_fact(id=event["id"], type=event["type"], subject=event["aggregate"], region=event["region"])
        attributes |= {"http.request.method": "POST", "livinglab.subscription": subscription.id}
        with self._telemetry.tracer.start_as_current_span(
            WEBHOOK.name,
            context=Context() if replay else caused,
            kind=trace.SpanKind.CLIENT,
            links=[trace.Link(trace.get_current_span(caused).get_span_context())] if replay else [],
            attributes=attributes | ({"livinglab.replay": replay} if replay else {}),
        ) as span:
            answer = await self._post(subscription, body, headers, traceparent_of(span))
            if answer.status is not None:
                span.set_attribute("http.response.status_code", answer.status)
            if answer.status is None or answer.status >= 400:
                span.set_status(trace.StatusCode.ERROR)
                span.set_attribute("error.type", answer.failure or str(answer.status))
            return answer

    async def _post(
        self, subscription: Subscription, body: bytes, headers: dict[str, str], traceparent: str | None
    ) -> Answer:
        if traceparent:
            headers["traceparent"] = traceparent
        assert subscription.url is not None
        return await self._http.post(subscription.url, body=body, headers=headers, allowed=subscription.networks)

    async def prove(self, subscription: Subscription) -> Proof:
        """The handshake of CloudEvents' web hooks (HTTP 1.1 Web Hooks for Event Delivery 1.0.2, section 4)."""
        asked = {"WebHook-Request-Origin": self._origin, "WebHook-Request-Rate": RATE_ASKED}
        assert subscription.url is not None
        answer = await self._http.options(subscription.url, headers=asked, allowed=subscription.networks)
        if answer.status is None:
            return Proof(answer.failure, None)
        if not 200 <= answer.status < 300:
            return Proof("refused", answer.status)
        if answer.headers.get("webhook-allowed-origin", "").strip() not in (self._origin, "*"):
            return Proof("origin_not_allowed", answer.status)
        rate = answer.headers.get("webhook-allowed-rate", "*").strip()
        if rate == "*":
            return Proof(None, answer.status)
        if not (rate.isascii() and rate.isdigit() and int(rate[:9]) > 0):
            return Proof("rate_not_understood", answer.status)
        return Proof(None, answer.status, allowed_rate=int(rate[:9]))
