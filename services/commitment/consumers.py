"""What this service hears."""

from collections.abc import Sequence

from chassis.consumer import Reactions
from chassis.publish import Publish
from chassis.records import Fact
from contracts import topics
from contracts.assessment import InstrumentPublished
from contracts.regions import Directory
from contracts.scoring import ScoreRecalculated
from services.commitment.store.pledges import Pledges
from services.commitment.store.scores import Scores
from services.commitment.usecases import score as usecases

reactions = Reactions()


@reactions.to(topics.INSTRUMENT, group="commitment.instrument", of=InstrumentPublished)
async def learn_instruments(facts: Sequence[Fact[InstrumentPublished]], scores: Scores) -> None:
    """Instruments are copied for their predicates and indicators: this service asks nobody."""
    await usecases.learn_instruments(facts, scores=scores)


@reactions.to(topics.SCORE, group="commitment.score", of=ScoreRecalculated)
async def hear_scores(
    facts: Sequence[Fact[ScoreRecalculated]],
    publish: Publish,
    scores: Scores,
    pledges: Pledges,
    directory: Directory,
) -> None:
    """A decision: pledges follow from all the scores that were heard of their region."""
    await usecases.hear(facts, scores=scores, pledges=pledges, directory=directory, publish=publish)
