"""A region's portrait over its cycles, and regions side by side."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import BaseModel

from chassis.auth import AnyViewer
from chassis.conditional import NOT_MODIFIED, told
from chassis.openapi import routes
from chassis.problems import problems
from chassis.store import Document
from contracts.assessment import PredicateBasis, RegionCode, Stage
from contracts.regions import Kind, Region
from contracts.scoring import Basis, Figure
from services.scoring.api.parameters import BasisIn, CycleIn, InstrumentStore, Regions, ScoreStore
from services.scoring.api.score import AnyScore
from services.scoring.domain.portrait import breaks, difference, disagreement
from services.scoring.store.scores import levels_of
from services.scoring.usecases import read

router = routes("scoring")

LAYERS = ("domains", "aspects")


class DisagreementOut(BaseModel):
    """The Lab's own last figure beside the official one; `difference` is official minus own."""

    basis: Stage
    own: Figure
    official: Figure
    difference: str


class CycleOut(BaseModel):
    """A region in one cycle: the scores on each basis, and the levels that the Lab's follow from."""

    cycle: str
    period: int
    instrument: str
    break_before: bool
    """The cycle before used another instrument: the two can't be compared."""
    predicate_basis: PredicateBasis
    as_of: datetime
    scores: dict[Basis, AnyScore]
    levels: dict[Basis, dict[int, str]]
    """Basis → indicator → level. Official results come without levels."""
    disagreement: DisagreementOut | None


class PortraitOut(BaseModel):
    """What may be seen of a region, the latest cycle first."""

    region: str
    name: str
    kind: Kind
    province: str
    cycles: list[CycleOut]


class AgainstOut(BaseModel):
    """What a region has more (+) or less (-) than the first one of a comparison, as it is shown."""

    index: str
    domains: dict[int, str]
    aspects: dict[int, str]
    levels: dict[int, str]


class ComparedOut(BaseModel):
    """One region of a comparison."""

    region: str
    name: str
    kind: Kind
    index: Figure
    predicate: str
    domains: dict[int, Figure]
    aspects: dict[int, Figure]
    levels: dict[int, str]
    """Indicator → level; empty on the basis `official`."""
    against_first: AgainstOut


class ComparisonOut(BaseModel):
    """Regions side by side on one basis, in the order asked for; `missing` have no index that you may see."""

    cycle: str
    instrument: str
    basis: Basis
    regions: list[ComparedOut]
    missing: list[str]


@router.get("/regions/{region}", responses=problems(401, 422, 429, 503) | NOT_MODIFIED)
async def portrait(
    region: Annotated[RegionCode, Path(examples=["32.11"])],
    viewer: AnyViewer,
    scores: ScoreStore,
    directory: Regions,
    request: Request,
) -> PortraitOut:
    """A region's index, domains, aspects and indicators on every basis, over its cycles. Breaks are marked."""
    found = await read.of_region(region, scores=scores, directory=directory, viewer=viewer)
    by_cycle: dict[str, list[Document]] = {}
    for document in found:
        by_cycle.setdefault(document["cycle"], []).append(document)
    marks = breaks([documents[0]["instrument"] for documents in by_cycle.values()]) if by_cycle else []
    cycles = [_cycle(documents, mark) for documents, mark in zip(by_cycle.values(), marks, strict=True)]
    known = directory.get(region)
    shown = {"region": region, "name": known.name, "kind": known.kind, "province": known.province, "cycles": cycles}
    return told(PortraitOut.model_validate(shown), request)


@router.get("/comparison", responses=problems(401, 422, 429, 503) | NOT_MODIFIED)
async def compare(
    region: Annotated[
        list[RegionCode],
        Query(
            min_length=1,
            max_length=read.COMPARED_MAX,
            description="Up to 12 regions, of any kind: repeat the parameter.",
            examples=[["32.11", "32.05", "32.04"]],
        ),
    ],
    cycle: CycleIn,
    viewer: AnyViewer,
    scores: ScoreStore,
    instruments: InstrumentStore,
    directory: Regions,
    request: Request,
    basis: BasisIn = Basis.SELF,
) -> ComparisonOut:
    """Any up to 12 regions side by side in a cycle: index, domains, aspects, indicators, and how far apart they are."""
    opened = await read.opened(cycle, instruments=instruments)
    found = await read.compared(region, cycle=cycle, basis=basis, scores=scores, directory=directory, viewer=viewer)
    there = [_compared(one, document, basis) for one, document in found if document is not None]
    compared = {
        "cycle": cycle,
        "instrument": opened.instrument,
        "basis": basis,
        "regions": [{**one, "against_first": _against(one, there[0])} for one in there],
        "missing": [one.code for one, document in found if document is None],
    }
    return told(compared, request)


def _cycle(documents: list[Document], break_before: bool) -> dict[str, Any]:
    scores: dict[str, Any] = {basis: score for document in documents for basis, score in document["scores"].items()}
    own = {basis: Figure.model_validate(score["index"]) for basis, score in scores.items() if "index" in score}
    differing = disagreement(own, own.pop(Basis.OFFICIAL, None))
    return {
        **documents[0],
        "break_before": break_before,
        "as_of": max(document["time"] for document in documents),
        "scores": scores,
        "levels": {basis: _numbered(document, basis) for document in documents for basis in document.get("levels", {})},
        "disagreement": None
        if differing is None
        else {
            "basis": differing.basis,
            "own": differing.own,
            "official": differing.official,
            "difference": differing.difference,
        },
    }


def _numbered(document: Document, basis: str) -> dict[int, str]:
    return {number: level for number, level in enumerate(levels_of(document, basis), start=1) if level is not None}


def _compared(region: Region, document: Document, basis: Basis) -> dict[str, Any]:
    score = document["scores"][basis]
    return {
        "region": region.code,
        "name": region.name,
        "kind": region.kind,
        **{name: score[name] for name in ("index", "predicate", *LAYERS)},
        "levels": _numbered(document, basis),
    }


def _against(one: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    def layer(name: str) -> dict[str, str]:
        return {
            number: difference(figure["value"], first[name][number]["value"])
            for number, figure in one[name].items()
            if number in first[name]
        }

    levels = {n: difference(level, first["levels"][n]) for n, level in one["levels"].items() if n in first["levels"]}
    index = difference(one["index"]["value"], first["index"]["value"])
    return {"index": index, **{name: layer(name) for name in LAYERS}, "levels": levels}
