"""What the answer is reckoned from, and no more of it: who came, who is asked to sign and did, who acted, who rose."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction

from chassis.service import Parts
from chassis.store import Document
from contracts.commitment import CommitmentStatus, PledgeStatus, VisitStatus
from services.commitment.domain.path import Done, Invitation, Pledged, Records, Signature, Target, Visit
from services.commitment.domain.progress import Scored
from services.commitment.store.scores import Instrument, Scores


class Answerable:
    """Reads across the nouns of this service: each a projection of a few fields."""

    def __init__(self, parts: Parts) -> None:
        self._visits = parts.collection("visits")
        self._commitments = parts.collection("commitments")
        self._followups = parts.collection("followups")
        self._pledges = parts.collection("pledges")
        self._scores = Scores(parts)

    async def prepare(self) -> None:
        """Other stores made these collections' indexes."""

    async def records(self, *, public: bool) -> Records:
        """All of it: with what is public of scores and pledges alone, or with everything.

        With 552 regions of 8 years reading and reckoning take 97 ms (tests/bench/RESULTS.md).
        """
        shown = "public" if public else "full"
        visits = self._visits.find(
            {"state.status": VisitStatus.RECORDED.value},
            {"_id": 0, "state.organization": 1, "state.host": 1, "state.visited_on": 1},
        )
        commitments = self._commitments.find(
            {"public": True, "status": {"$ne": CommitmentStatus.WITHDRAWN.value}},
            {"joined": 1, "signed": 1, "target": 1},
        )
        acted = self._followups.find({"acted": True}, {"_id": 0, "region": 1, "commitment": 1, "state.done_on": 1})
        pledges = self._pledges.find(
            {"withdrawn": False}, {"_id": 0, "region": 1, "commitment": 1, f"state.{shown}.status": 1}
        )
        known = await commitments.to_list(None)
        instruments = {one.instrument: one for one in await self._scores.instruments()}
        return Records(
            visits=[
                Visit(one["organization"], one["host"], date.fromisoformat(one["visited_on"]))
                for one in [document["state"] for document in await visits.to_list(None)]
            ],
            invitations=[Invitation(one["_id"], organization) for one in known for organization in one["joined"]],
            signatures=[
                Signature(one["_id"], signed["organization"], date.fromisoformat(signed["on"]))
                for one in known
                for signed in one["signed"]
            ],
            done=[
                Done(one["region"], one["commitment"], date.fromisoformat(one["state"]["done_on"]))
                for one in await acted.to_list(None)
            ],
            pledged=[
                Pledged(one["region"], one["commitment"], one["state"][shown]["status"] == PledgeStatus.FULFILLED.value)
                for one in await pledges.to_list(None)
            ],
            targets=[_target(one["_id"], one["target"], instruments) for one in known if one["target"]],
            scored=await self._scored(public=public),
        )

    async def _scored(self, *, public: bool) -> Sequence[Scored]:
        return [
            Scored(
                region=one.region,
                period=one.period,
                instrument=one.instrument,
                index=Fraction(one.counted.index.value),
                predicate=one.counted.predicate,
                on=one.counted.on,
                official=one.official,
            )
            for one in await self._scores.counting(public=public)
            if one.counted
        ]


def _target(commitment: str, target: Document, instruments: dict[str, Instrument]) -> Target:
    index, predicate = target["index"], target["predicate"]
    known = instruments[target["instrument"]].predicates if target["instrument"] in instruments else ()
    better = known[: known.index(predicate) + 1] if predicate in known else ()
    return Target(
        commitment=commitment,
        instrument=target["instrument"],
        index=Fraction(index["value"]) if index else None,
        predicates=frozenset(better),
    )
