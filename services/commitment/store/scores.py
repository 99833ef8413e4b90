"""Scores as they were heard, every fact of them, and copies of the instruments that they rest on."""

from collections.abc import Sequence

from pymongo import IndexModel

from chassis.service import Parts
from chassis.store import Document, ensure_indexes, keep_first
from contracts.fact import Frozen
from services.commitment.domain.score import Heard


class Instrument(Frozen):
    """What is kept of an instrument."""

    instrument: str
    predicates: tuple[str, ...]
    """The best first."""
    indicators: tuple[int, ...]


class Scores:
    """History alone: a score has about ten facts in its life, a region a score a year, so what is newest is derived."""

    def __init__(self, parts: Parts) -> None:
        self._heard = parts.collection("history")
        self._instruments = parts.collection("instruments")

    async def prepare(self) -> None:
        """An index for a region's scores."""
        await ensure_indexes(self._heard, [IndexModel([("region", 1), ("instrument", 1)], name="region")])

    async def keep(self, facts: Sequence[tuple[Heard, str]]) -> list[str]:
        """Keep facts with their digests, in any order and however often; the scores that forked, if any."""
        documents = [
            {"_id": f"{one.score}/{one.revision}/{one.rule}", "digest": digest, **one.model_dump(mode="json")}
            for one, digest in facts
        ]
        return sorted({fork["score"] for fork in await keep_first(self._heard, documents)})

    async def of(self, region: str, instrument: str) -> list[Heard]:
        """All that was heard of a region under an instrument, in no order."""
        found = await self._heard.find({"region": region, "instrument": instrument}).to_list(None)
        return [Heard.model_validate(document) for document in found]

    async def keep_instrument(self, instrument: Instrument, *, digest: str) -> bool:
        """False when another one has its id."""
        document: Document = {"_id": instrument.instrument, "digest": digest, **instrument.model_dump(mode="json")}
        return not await keep_first(self._instruments, [document])

    async def instrument(self, instrument: str) -> Instrument | None:
        """By id, or None while nobody told us of it."""
        found = await self._instruments.find_one({"_id": instrument})
        return Instrument.model_validate(found) if found else None
