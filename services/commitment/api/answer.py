"""The answer: what share followed up, and how many got as far; as figures, sentences, a list and a table."""

import csv
import io
from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel

from chassis.auth import AnyViewer
from chassis.body import CSV
from chassis.conditional import NOT_MODIFIED, told
from chassis.openapi import routes
from chassis.problems import problems
from contracts.assessment import RegionCode
from contracts.commitment import Id
from contracts.organizations import OrganizationId
from contracts.regions import Directory, Kind
from services.commitment.api.parameters import AnswerSources, Day, TimelineNouns
from services.commitment.domain.compared import Change
from services.commitment.domain.funnel import Funnel, Share, Split, Stage
from services.commitment.domain.organization import name_of
from services.commitment.domain.path import Path
from services.commitment.domain.progress import Apart
from services.commitment.domain.wording import words
from services.commitment.usecases import answer as usecases
from services.commitment.usecases import timeline as timelines
from services.commitment.usecases.answer import Asked
from services.commitment.usecases.timeline import Moment

router = routes("commitment")


class ShareOut(BaseModel):
    """So many of so many."""

    count: int
    of: int


class SplitOut(BaseModel):
    """Of all, and of regions and institutions each."""

    together: ShareOut
    regions: ShareOut
    institutions: ShareOut


class StepOut(BaseModel):
    """Who came as far as this: of those who could have, and of those of the step before."""

    stage: Stage
    count: int
    of: int
    before: int
    organizations: list[str]


class BesideOut(BaseModel):
    """Who went another way."""

    signed_without_visit: int
    acted_without_visit: int
    acted_without_signature: int


class ChangeOut(BaseModel):
    """Of some regions: how many of them rose, and by how much on average (exact, as a fraction, and to be shown)."""

    count: int
    improved: int
    mean: str | None
    mean_shown: str | None


class ComparisonOut(BaseModel):
    """The same change among those who did not sign, matched by kind, instrument and years. No proof of a cause."""

    joined: ChangeOut
    others: ChangeOut
    visited: ChangeOut
    like_with_like: int
    """Signatories that have somebody to be compared with."""
    joined_mean_shown: str | None
    others_mean_shown: str | None


class FunnelOut(BaseModel):
    """The answer. Whoever can't be measured is neither counted as risen nor as not: they stand in `apart`."""

    steps: list[StepOut]
    followed_up: SplitOut
    """The rate asked for."""
    reached_host: ShareOut
    visitors_reached_host: ShareOut
    beside: BesideOut
    apart: dict[Apart, list[str]]
    no_target: list[str]
    no_host_score: list[str]
    comparison: ComparisonOut
    said_id: list[str]
    said_en: list[str]


class PathOut(BaseModel):
    """How far one organization came."""

    organization: str
    name: str
    visited: date | None
    host: str | None
    invited: bool
    signed: date | None
    acted: date | None
    instrument: str | None
    base_period: int | None
    base_index: str | None
    later_period: int | None
    later_index: str | None
    change: str | None
    apart: Apart | None
    reached_target: bool | None
    reached_host: bool | None


class PathsOut(BaseModel):
    """A row for each organization."""

    items: list[PathOut]


class EntryOut(BaseModel):
    """A moment of a region's way; `about` is the id of what it is about."""

    on: date
    moment: Moment
    about: str
    said: str
    period: int | None
    """Of a score: the year that it is of."""


class TimelineOut(BaseModel):
    """In order of days."""

    region: str
    name: str
    items: list[EntryOut]


async def _asked(
    commitment: Annotated[Id | None, Query(description="The parties of one commitment.")] = None,
    group: Annotated[str | None, Query(max_length=60, examples=["jabar-2023"])] = None,
    province: Annotated[RegionCode | None, Query(examples=["32"])] = None,
    kind: Annotated[Kind | None, Query()] = None,
    host: Annotated[OrganizationId | None, Query(description="Whom they came to.", examples=["32.11"])] = None,
    since: Annotated[Day | None, Query(description="Of the first visit.")] = None,
    until: Annotated[Day | None, Query(description="Of the first visit.")] = None,
    public: Annotated[bool, Query(description="False: with results not published yet, for both ministries.")] = True,
) -> Asked:
    return Asked(commitment, group, province, kind, host, since, until, public)


Question = Annotated[Asked, Depends(_asked)]
REFUSED = problems(401, 403, 404, 422, 429, 503)


@router.get("/funnel", responses=REFUSED | NOT_MODIFIED)
async def funnel(asked: Question, viewer: AnyViewer, by: AnswerSources, request: Request) -> FunnelOut:
    """Visited, invited, signed, acted, improved, reached: counts, what they are of, and sentences."""
    return told(_shown(await usecases.answer(asked, viewer=viewer, by=by)), request)


@router.get("/funnel/organizations", responses=REFUSED | NOT_MODIFIED)
async def funnel_organizations(asked: Question, viewer: AnyViewer, by: AnswerSources, request: Request) -> PathsOut:
    """The list behind the figures."""
    found = await usecases.answer(asked, viewer=viewer, by=by)
    return told(PathsOut(items=[_path(path, by.directory) for path in found.paths]), request)


@router.get(
    "/funnel/organizations.csv",
    response_class=Response,
    responses=REFUSED | {200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def funnel_table(asked: Question, viewer: AnyViewer, by: AnswerSources) -> Response:
    """The same as a table."""
    found = await usecases.answer(asked, viewer=viewer, by=by)
    rows = [_path(path, by.directory).model_dump(mode="json") for path in found.paths]
    headers = {"Content-Disposition": 'attachment; filename="tindak-lanjut.csv"', "Vary": "Authorization"}
    return Response(_csv(rows), media_type=f"{CSV}; charset=utf-8", headers=headers)


@router.get("/regions/{region}/timeline", responses=problems(401, 422, 429, 503) | NOT_MODIFIED)
async def region_timeline(
    region: Annotated[RegionCode, PathParameter(examples=["32.11"])],
    viewer: AnyViewer,
    by: TimelineNouns,
    request: Request,
) -> TimelineOut:
    """Whom a region studied with, what it signed, pledged and did, and how its index went."""
    found = await timelines.timeline(region, viewer=viewer, by=by)
    items = [EntryOut.model_validate(entry, from_attributes=True) for entry in found]
    return told(TimelineOut(region=region, name=name_of(region, by.directory), items=items), request)


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """Slugs are ours, codes and names too: no cell begins with what a spreadsheet takes for a formula but a change."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(PathOut.model_fields), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _shown(found: Funnel) -> FunnelOut:
    like = found.comparison.standardised
    return FunnelOut(
        steps=[
            StepOut(stage=s.stage, count=s.count, of=s.of, before=s.before, organizations=list(s.organizations))
            for s in found.steps
        ],
        followed_up=_split(found.followed_up),
        reached_host=_share(found.reached_host),
        visitors_reached_host=_share(found.visitors_reached_host),
        beside=BesideOut.model_validate(found.beside, from_attributes=True),
        apart={why: list(names) for why, names in found.apart.items()},
        no_target=list(found.no_target),
        no_host_score=list(found.no_host_score),
        comparison=ComparisonOut(
            joined=_change(found.comparison.joined),
            others=_change(found.comparison.others),
            visited=_change(found.comparison.visited),
            like_with_like=like.count if like else 0,
            joined_mean_shown=_two_places(like.joined) if like else None,
            others_mean_shown=_two_places(like.others) if like else None,
        ),
        said_id=words(found, "id"),
        said_en=words(found, "en"),
    )


def _path(path: Path, directory: Directory) -> PathOut:
    came = path.progress
    return PathOut(
        organization=path.organization,
        name=name_of(path.organization, directory),
        visited=path.visited,
        host=path.host,
        invited=path.invited,
        signed=path.signed,
        acted=path.acted,
        instrument=came.base.instrument if came else None,
        base_period=came.base.period if came else None,
        base_index=_two_places(came.base.index) if came else None,
        later_period=came.later.period if came else None,
        later_index=_two_places(came.later.index) if came else None,
        change=_two_places(came.change) if came else None,
        apart=path.apart,
        reached_target=path.reached_target,
        reached_host=path.reached_host,
    )


def _share(share: Share) -> ShareOut:
    return ShareOut(count=share.count, of=share.of)


def _split(split: Split) -> SplitOut:
    return SplitOut(
        together=_share(split.together), regions=_share(split.regions), institutions=_share(split.institutions)
    )


def _change(change: Change) -> ChangeOut:
    mean = change.mean
    return ChangeOut(
        count=change.count,
        improved=change.improved,
        mean=None if mean is None else str(mean),
        mean_shown=None if mean is None else _two_places(mean),
    )


def _two_places(exact: Fraction) -> str:
    """Half up, as indices are shown."""
    hundredths = (abs(exact) * 100 + Fraction(1, 2)).__floor__()
    return f"{'-' if exact < 0 and hundredths else ''}{hundredths // 100}.{hundredths % 100:02}"
