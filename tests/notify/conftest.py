"""Post offices on the real database."""

from collections.abc import Awaitable, Callable

import pytest

from chassis.settings import Settings
from chassis.store import Database
from tests.notify.office import Office

Furnish = Callable[..., Awaitable[Office]]


@pytest.fixture
def furnish(database: Database, settings: Settings) -> Furnish:
    """As many as a test wants, on one database."""
    return lambda **changes: Office.furnish(database, settings, **changes)


@pytest.fixture
async def office(furnish: Furnish) -> Office:
    """One."""
    return await furnish()
