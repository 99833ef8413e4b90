"""Copies of instruments and cycles, read."""

from chassis.intake import UnknownReference
from chassis.service import Parts
from contracts import topics
from contracts.assessment import CycleOpened, InstrumentPublished
from services.scoring.domain.score import Instrument


class Instruments:
    """Copies of what the assessment service published: instruments and cycles, both immutable."""

    def __init__(self, parts: Parts) -> None:
        self._instruments = parts.collection("instruments")
        self._cycles = parts.collection("cycles")
        self._known: dict[str, Instrument] = {}
        self._opened: dict[str, CycleOpened] = {}

    async def prepare(self) -> None:
        """Read by `_id` alone: no index is missing."""

    async def get(self, instrument: str) -> Instrument:
        """By id. Raises UnknownReference while nobody told us of it."""
        known = self._known.get(instrument)
        if known is None:
            document = await self._instruments.find_one({"_id": instrument})
            if document is None:
                raise UnknownReference(topics.INSTRUMENT, instrument)
            known = Instrument.of(InstrumentPublished.model_validate_json(document["body"]))
            self._known[instrument] = known
        return known

    async def cycle(self, cycle: str) -> CycleOpened | None:
        """By id, or None while nobody told us of it."""
        known = self._opened.get(cycle)
        if known is None:
            document = await self._cycles.find_one({"_id": cycle})
            if document is None:
                return None
            known = self._opened[cycle] = CycleOpened.model_validate_json(document["body"])
        return known
