"""The nation, a province, a kind or a group in figures: against the aims, with what is missing, and who leads."""

from collections.abc import Mapping
from datetime import date, datetime
from fractions import Fraction
from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import BaseModel

from chassis.auth import AnyViewer
from chassis.conditional import NOT_MODIFIED, told
from chassis.openapi import routes
from chassis.problem import Problem
from chassis.problems import problems
from contracts.assessment import Aim, CycleOpened
from contracts.regions import Kind
from contracts.scoring import Basis, Figure
from services.scoring.api.parameters import (
    BasisIn,
    CyclePath,
    GroupIn,
    InstrumentStore,
    Limit,
    ProvinceIn,
    Regions,
    ScoreStore,
)
from services.scoring.domain.score import figure
from services.scoring.domain.summary import ALL_KINDS, LEADERS_KEPT, Audience, Part, Ranking, Scope
from services.scoring.store.scores import audience_of
from services.scoring.usecases import read

router = routes("scoring")

KindIn = Annotated[Kind, Query(description="Regions of one kind.", examples=["regency"])]


async def _scope(directory: Regions, province: ProvinceIn = None, group: GroupIn = None) -> Scope:
    return read.scope_of(directory, province=province, group=group)


async def _opened(cycle: CyclePath, instruments: InstrumentStore) -> CycleOpened:
    return await read.opened(cycle, instruments=instruments)


ScopeIn = Annotated[Scope, Depends(_scope)]
Opened = Annotated[CycleOpened, Depends(_opened)]


class UnknownIndicator(Problem):
    """The cycle's instrument has no such indicator."""

    status, code, title = 422, "unknown_indicator", "There is no such indicator"
    detail = "GET /assessment/v1/instruments shows the indicators of each instrument by number."
    detail_id = "GET /assessment/v1/instruments memuat indikator setiap instrumen menurut nomornya."


class PartOut(BaseModel):
    """The regions of one kind in a scope, or of all. `mean` is of the exact indices, `median` of those shown."""

    count: int
    missing: int
    """Governments without an index that counts here; never averaged in. They are listed by `…/missing`."""
    mean: Figure | None
    median: Figure | None
    predicates: dict[str, int]
    histogram: dict[str, int]
    """Index as shown → how many."""

    @classmethod
    def of(cls, part: Part, *, expected: int) -> "PartOut":
        """From what was merged."""
        mean, median = part.mean, part.median
        return cls(
            count=part.count,
            missing=max(0, expected - part.count),
            mean=None if mean is None else figure(mean),
            median=None if median is None else figure(median),
            predicates=dict(part.predicates),
            histogram=dict(part.shown),
        )


class AimOut(BaseModel):
    """What the nation set out to reach, and how far this scope is: an index, or a share in percent."""

    about: str
    kind: str | None
    predicate: str | None
    value: str
    due_year: int
    source: str
    reached: Figure | None
    """Of those that have an index; null where nobody has one yet."""
    met: bool | None
    """By those that have an index: see `count` and `missing` before you say so."""
    count: int
    missing: int


class AverageOut(BaseModel):
    """An average as KemenPANRB published it: it need not be the mean of the published results."""

    kind: Kind | None
    index: str
    decree: str
    decree_date: date


class SummaryOut(BaseModel):
    """A scope's summary on one basis, a second or so behind: see `as_of`."""

    cycle: str
    scope: str
    basis: Basis
    audience: Audience
    """`supervised`: of all regions, because you may see each of them; `public`: of what is public."""
    as_of: datetime | None
    all: PartOut
    kinds: dict[Kind, PartOut]
    aims: list[AimOut]
    published_averages: list[AverageOut]
    """Of the nation, on the basis `official`."""


class LeaderOut(BaseModel):
    """A region that leads: by its level, then by its index."""

    region: str
    name: str | None
    level: str
    index: str


class IndicatorOut(BaseModel):
    """An indicator among the regions of a kind: `count` of `of` are at the asked level or above."""

    indicator: int
    count: int
    of: int
    levels: dict[str, int]
    leaders: list[LeaderOut]


class LeadersOut(BaseModel):
    """Who leads in each indicator of a cycle's instrument."""

    cycle: str
    scope: str
    kind: Kind
    basis: Basis
    audience: Audience
    as_of: datetime | None
    at_least: int
    items: list[IndicatorOut]


class MissingRegionOut(BaseModel):
    """A government that the summary of this audience misses: without an index, or with one that is not public."""

    region: str
    name: str


class MissingOut(BaseModel):
    """A page of them, by code; it may hold fewer than asked for, and `next` is null on the last one."""

    cycle: str
    scope: str
    kind: Kind
    basis: Basis
    audience: Audience
    items: list[MissingRegionOut]
    next: str | None


@router.get("/summaries/{cycle}", responses=problems(401, 422, 429, 503) | NOT_MODIFIED)
async def summary(
    opened: Opened,
    scope: ScopeIn,
    viewer: AnyViewer,
    scores: ScoreStore,
    instruments: InstrumentStore,
    directory: Regions,
    request: Request,
    basis: BasisIn = Basis.SELF,
) -> SummaryOut:
    """Mean, median, distribution, and share at each predicate against the aims: the nation, a province or a group."""
    instrument = await instruments.get(opened.instrument)
    found = await scores.summary(scope, cycle=opened.cycle, basis=basis, viewer=viewer)
    expected = {kind: len(codes) for kind, codes in read.expected_of(scope, directory, opened).items()}
    bands = [name for name, _ in instrument.bands]
    national = basis is Basis.OFFICIAL and scope.name == "nation"
    averages = await scores.averages(opened.cycle) if national else []
    return told(
        SummaryOut(
            cycle=opened.cycle,
            scope=scope.name,
            basis=basis,
            audience=found.audience,
            as_of=found.as_of,
            all=PartOut.of(found.parts.get(ALL_KINDS, Part()), expected=sum(expected.values())),
            kinds={
                kind: PartOut.of(found.parts.get(kind, Part()), expected=expected[kind])
                for kind in Kind
                if expected[kind] or kind in found.parts
            },
            aims=[_aim(aim, found.parts, expected, bands) for aim in opened.aims or ()],
            published_averages=[AverageOut.model_validate(average) for average in averages],
        ),
        request,
    )


@router.get("/summaries/{cycle}/missing", responses=problems(401, 422, 429, 503) | NOT_MODIFIED)
async def missing(
    opened: Opened,
    scope: ScopeIn,
    kind: KindIn,
    viewer: AnyViewer,
    scores: ScoreStore,
    directory: Regions,
    request: Request,
    basis: BasisIn = Basis.SELF,
    cursor: Annotated[str | None, Query(max_length=16, description="`next` of the page before.")] = None,
    limit: Limit = 50,
) -> MissingOut:
    """The governments of one kind that the summary of the same scope and basis misses, by code."""
    found, following = await read.missing(
        scope,
        cycle=opened,
        basis=basis,
        kind=kind,
        after=cursor,
        limit=limit,
        scores=scores,
        directory=directory,
        viewer=viewer,
    )
    items = [MissingRegionOut(region=region.code, name=region.name) for region in found]
    out = MissingOut(
        cycle=opened.cycle,
        scope=scope.name,
        kind=kind,
        basis=basis,
        audience=audience_of(viewer, scope),
        items=items,
        next=following,
    )
    return told(out, request)


@router.get("/leaders/{cycle}", responses=problems(401, 422, 429, 503) | NOT_MODIFIED)
async def leaders(
    opened: Opened,
    scope: ScopeIn,
    kind: KindIn,
    viewer: AnyViewer,
    scores: ScoreStore,
    instruments: InstrumentStore,
    directory: Regions,
    request: Request,
    basis: BasisIn = Basis.SELF,
    indicator: Annotated[int | None, Query(ge=1, le=999, description="Only this one.")] = None,
    at_least: Annotated[int, Query(ge=0, le=10, description="The level that `count` counts from.")] = 4,
    limit: Annotated[int, Query(ge=0, le=LEADERS_KEPT, description="Leaders per indicator.")] = 3,
) -> LeadersOut:
    """Per indicator: "X of Y at 4 or above", and the regions to learn from."""
    instrument = await instruments.get(opened.instrument)
    if indicator is not None and indicator not in instrument.numbers:
        raise UnknownIndicator(field="indicator")
    found = await scores.leaders(scope, cycle=opened.cycle, basis=basis, kind=kind, viewer=viewer)
    wanted = sorted(instrument.numbers) if indicator is None else [indicator]

    def shown(number: int, ranking: Ranking) -> IndicatorOut:
        first = [
            LeaderOut(
                region=one.region,
                name=region.name if (region := directory.find(one.region)) else None,
                level=one.level,
                index=one.shown,
            )
            for one in ranking.leaders[:limit]
        ]
        count = ranking.at_least(at_least)
        levels = dict(sorted(ranking.levels.items()))
        return IndicatorOut(indicator=number, count=count, of=ranking.count, levels=levels, leaders=first)

    return told(
        LeadersOut(
            cycle=opened.cycle,
            scope=scope.name,
            kind=kind,
            basis=basis,
            audience=found.audience,
            as_of=found.as_of,
            at_least=at_least,
            items=[shown(number, found.rankings.get(number, Ranking())) for number in wanted],
        ),
        request,
    )


def _aim(aim: Aim, parts: Mapping[str, Part], expected: Mapping[Kind, int], bands: list[str]) -> AimOut:
    part = parts.get(aim.kind or ALL_KINDS, Part())
    of = expected[Kind(aim.kind)] if aim.kind else sum(expected.values())
    reached = part.mean
    if aim.about == "share" and part.count:
        reached = Fraction(100 * part.at_least(aim.predicate or bands[0], bands), part.count)
    return AimOut(
        **dict(aim),
        reached=None if reached is None else figure(reached),
        met=None if reached is None else reached >= Fraction(aim.value),
        count=part.count,
        missing=max(0, of - part.count),
    )
