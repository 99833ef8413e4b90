"""What this service hears."""

from collections.abc import Sequence

from chassis.consumer import Reactions
from chassis.deadletters import DeadLetters
from chassis.publish import Publish
from chassis.records import Fact
from contracts import topics
from contracts.assessment import AssessmentState, CycleOpened, InstrumentPublished
from contracts.regions import Directory
from services.scoring.store.instruments import Instruments
from services.scoring.store.projection import Projection
from services.scoring.usecases import score as usecases

reactions = Reactions()


@reactions.to(topics.INSTRUMENT, group="scoring.instrument", of=InstrumentPublished)
async def learn_instruments(
    facts: Sequence[Fact[InstrumentPublished]], projection: Projection, letters: DeadLetters
) -> None:
    """Instruments are copied: scoring asks nobody when an assessment comes."""
    await usecases.learn_instruments(facts, projection=projection, letters=letters)


@reactions.to(topics.CYCLE, group="scoring.cycle", of=CycleOpened)
async def learn_cycles(facts: Sequence[Fact[CycleOpened]], projection: Projection) -> None:
    """Cycles are copied for their aims."""
    await usecases.learn_cycles(facts, projection=projection)


@reactions.to(topics.ASSESSMENT, group="scoring.assessment", of=AssessmentState)
async def score(
    facts: Sequence[Fact[AssessmentState]],
    publish: Publish,
    projection: Projection,
    instruments: Instruments,
    directory: Directory,
) -> None:
    """A projection: any assessment fact yields the scores of every stage that it holds."""
    await usecases.score(facts, projection=projection, instruments=instruments, directory=directory, publish=publish)
