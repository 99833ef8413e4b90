"""Scores come, and pledges follow."""

from collections.abc import Sequence

from chassis.intake import Fork
from chassis.publish import Publish
from chassis.records import Fact, Rejected
from contracts.assessment import InstrumentPublished
from contracts.regions import Directory
from contracts.scoring import ScoreRecalculated
from services.commitment.domain.score import heard
from services.commitment.store.pledges import Pledges
from services.commitment.store.scores import Instrument, Scores
from services.commitment.usecases import pledge


async def learn_instruments(facts: Sequence[Fact[InstrumentPublished]], *, scores: Scores) -> None:
    """Keep what pledges and follow-ups refer to. Raises Fork for a second instrument of the same id."""
    for fact in facts:
        kept = Instrument(
            instrument=fact.body.instrument,
            predicates=tuple(band.predicate for band in fact.body.bands),
            indicators=tuple(indicator.number for indicator in fact.body.indicators),
        )
        if not await scores.keep_instrument(kept, digest=fact.digest):
            raise Fork(f"instrument {fact.body.instrument} was published twice, differently")


async def hear(
    facts: Sequence[Fact[ScoreRecalculated]],
    *,
    scores: Scores,
    pledges: Pledges,
    directory: Directory,
    publish: Publish,
) -> None:
    """A decision: remember what was heard, then derive the pledges of the regions that it is about.

    Whoever dies between the two does both again. Raises Rejected for regions that do not exist, Fork for a second
    history of a score.
    """
    last: dict[str, Fact[ScoreRecalculated]] = {}
    for fact in facts:
        if directory.find(fact.body.region) is None:
            raise Rejected("unknown_region", f"there is no region {fact.body.region}")
        last[fact.body.region] = fact
    remembered = [(heard(f, province=directory.get(f.body.region).province), f.digest) for f in facts]
    if forks := await scores.keep(remembered):
        raise Fork(f"two histories of {', '.join(forks)}: restore the right one, see docs/runbooks/ConsumerStopped.md")
    # What a renumbered region pledged under the code that it had is still to be kept.
    causes = {code: fact for region, fact in last.items() for code in directory.lineage(region)}
    for region, concerned in (await pledges.of(causes.keys())).items():
        with publish.within(causes[region]):
            for pledge_id in concerned:
                await pledge.derive(pledge_id, pledges=pledges)
