"""The scoring worker's desk on the real database."""

import pytest

from chassis.settings import Settings
from chassis.store import Database
from contracts.events import INSTRUMENT_PUBLISHED
from services.assessment import catalogue
from services.scoring.usecases import score as usecases
from tests.scoring.desk import Desk, Furnish, read


@pytest.fixture
def furnish(database: Database, settings: Settings) -> Furnish:
    """As many desks as a test wants, on one database."""
    return lambda: Desk.furnish(database, settings)


@pytest.fixture
async def desk(furnish: Furnish) -> Desk:
    """One that knows the instruments."""
    desk = await furnish()
    facts = [read(INSTRUMENT_PUBLISHED, i, key=i.instrument) for i in catalogue.instruments()]
    await usecases.learn_instruments(facts, projection=desk.projection, letters=desk.letters)
    return desk
