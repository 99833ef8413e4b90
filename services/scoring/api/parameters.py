"""What several operations are asked with, and the stores that they ask."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated

import orjson
from fastapi import Path, Query
from pydantic import ConfigDict, Field, TypeAdapter

from chassis.references import InvalidCursor
from chassis.service import provided
from contracts.assessment import CycleId
from contracts.regions import Directory
from contracts.scoring import Basis
from services.scoring.store.instruments import Instruments
from services.scoring.store.scores import Place, Scores

ScoreStore = Annotated[Scores, provided(Scores)]
InstrumentStore = Annotated[Instruments, provided(Instruments)]
Regions = Annotated[Directory, provided(Directory)]
CycleIn = Annotated[CycleId, Query(description="A cycle, such as spbe-2023.", examples=["spbe-2023"])]
CyclePath = Annotated[CycleId, Path(description="A cycle, such as spbe-2023.", examples=["spbe-2023"])]
BasisIn = Annotated[
    Basis,
    Query(description="What the scores rest on: a stage of assessment (the Lab's figure), or `official`."),
]
ProvinceIn = Annotated[str | None, Query(max_length=16, description="A province's code.", examples=["32"])]
GroupIn = Annotated[str | None, Query(max_length=80, description="The name of a group.", examples=["jabar-2023"])]
Limit = Annotated[int, Query(ge=1, le=200, description="Rows a page.")]
PageCursor = Annotated[
    str | None, Query(alias="cursor", max_length=400, description="`next` of the page before; leave out for the first.")
]

_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_CURSOR = TypeAdapter(
    tuple[
        Annotated[str, Field(pattern=r"^[0-9]{1,2}(\.[0-9]{1,10})?$")],
        Annotated[str, Field(max_length=80)],
        _Count,
        _Count,
    ],
    config=ConfigDict(strict=True),
)
"""The fields of Place, as JSON."""


def cursor_of(place: Place) -> str:
    """Opaque to clients."""
    return urlsafe_b64encode(orjson.dumps([place.index, place.name, place.seen, place.rank])).decode()


def place_of(cursor: str | None) -> Place | None:
    """What `cursor_of` made. Raises InvalidCursor."""
    if cursor is None:
        return None
    try:
        return Place(*_CURSOR.validate_json(urlsafe_b64decode(cursor)))
    except ValueError as error:
        raise InvalidCursor(field="cursor") from error
