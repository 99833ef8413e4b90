"""What this service counts beside what every service does."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic

import structlog
from opentelemetry import trace
from pymongo.errors import PyMongoError

from chassis.clock import day_of, now
from chassis.service import Parts
from chassis.store import in_short
from chassis.telemetry import from_zero
from contracts.telemetry import metrics as rows
from contracts.telemetry import spans
from services.commitment.domain.funnel import funnel
from services.commitment.domain.path import Scope
from services.commitment.providers.port import ProviderUnavailable, SigningRefused
from services.commitment.store.checkpoints import Checkpoints
from services.commitment.store.records import Answerable

log = structlog.stdlib.get_logger()

MEASURE_EVERY_S = 30.0
PROVIDER, OUTCOME = "livinglab.signing.provider", "livinglab.signing.outcome"


class Measures:
    """Of this process."""

    def __init__(self, parts: Parts) -> None:
        self._tracer = parts.telemetry.tracer
        self._directory = parts.directory
        self._signing = parts.telemetry.metrics.histogram(rows.SIGNING_SECONDS)
        from_zero(self._signing, ("local", "bsre"), ("signed", "refused", "unknown"))
        self._overdue = parts.telemetry.metrics.gauge(rows.CHECKPOINT_OVERDUE)
        self._funnel = parts.telemetry.metrics.gauge(rows.FUNNEL)

    async def prepare(self) -> None:
        """Keeps nothing."""

    @contextmanager
    def signing(self, provider: str) -> Generator[None]:
        """Around what is done in a turn. An exception that is no answer of a provider leaves its outcome unknown."""
        began, outcome = monotonic(), "unknown"
        # No exception is recorded: what a provider said may hold what a signer told it.
        with self._tracer.start_as_current_span(
            spans.SIGN.name, attributes={PROVIDER: provider}, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
                outcome = "signed"
            except (SigningRefused, ProviderUnavailable):
                outcome = "refused"
                raise
            except BaseException as error:
                span.set_status(trace.StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__name__)
                raise
            finally:
                span.set_attribute(OUTCOME, outcome)
                self._signing.labels(provider, outcome).observe(monotonic() - began)

    async def watch(self, checkpoints: Checkpoints, answerable: Answerable) -> None:
        """For ever: whether the trails are signed in time, and how far the nation's organizations came."""
        while True:
            governments = self._directory.governments(on=day_of(now()))
            among = {code: kind for kind, codes in governments.items() for code in codes}
            try:
                self._overdue.set(await checkpoints.overdue_s())
                records = await answerable.records(public=True)
            except PyMongoError as error:
                log.warning("not measured", error=in_short(error))
            else:
                successor = self._directory.successor
                found = await asyncio.to_thread(funnel, records, Scope(), among=among, successor=successor)
                for step in found.steps:
                    self._funnel.labels(step.stage.value).set(len(step.organizations))
            await asyncio.sleep(MEASURE_EVERY_S)
