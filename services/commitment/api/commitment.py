"""Joint commitments: drafted, opened, in force, completed or withdrawn; who takes part and who signs for them."""

from typing import Annotated

from fastapi import Query, Request, Response

from chassis.auth import AnyViewer, CurrentViewer
from chassis.conditional import NOT_MODIFIED, tagged, told
from chassis.openapi import links, routes
from chassis.problems import problems
from contracts.commitment import CommitmentStatus
from services.commitment.api.command import CREATION, GIVEN, REFUSALS, TAGGED, Command, Creation, tell
from services.commitment.api.commitment_models import (
    CommitmentOut,
    CommitmentsOut,
    DraftIn,
    PartyIn,
    ReasonIn,
    RewriteIn,
    SignatoryIn,
    TemplateOut,
    TemplatesOut,
    line,
    shown,
)
from services.commitment.api.parameters import (
    BlockIn,
    CommitmentStore,
    Cursor,
    IdIn,
    Limit,
    OrganizationIn,
    PressTools,
    Regions,
    ScoreStore,
)
from services.commitment.domain.signatory import Signatory
from services.commitment.usecases import draft as usecases

router = routes("commitment")
THIS = {"path.commitment_id": "$response.body#/commitment"}
COMMANDS = ("rewrite_commitment", "amend_commitment", "name_party", "open_commitment", "close_signing",
            "complete_commitment", "withdraw_commitment")  # fmt: skip


@router.get("/commitment-templates", responses=problems(429) | NOT_MODIFIED)
async def commitment_templates(request: Request) -> TemplatesOut:
    """Texts to begin with, in Indonesian."""
    return told(TemplatesOut(items=[TemplateOut(**one) for one in usecases.templates()]), request)


@router.post(
    "/commitments",
    status_code=201,
    responses=CREATION | links(201, {**THIS, **TAGGED}, *COMMANDS) | links(201, THIS, "one_commitment"),
)
async def draft_commitment(
    asked: DraftIn,
    viewer: CurrentViewer,
    request: Creation,
    commitments: CommitmentStore,
    scores: ScoreStore,
    directory: Regions,
    response: Response,
) -> CommitmentOut:
    """Begin a commitment, for its initiator or its facilitator."""
    done = await usecases.draft(
        asked.wanted(), viewer=viewer, request=request, commitments=commitments, scores=scores, directory=directory
    )
    made = commitments.read(tell(done, response))
    response.headers["Location"] = f"/commitment/v1/commitments/{made.id}"
    return shown(made, viewer, directory)


@router.get("/commitments", responses=problems(401, 422, 429, 503) | NOT_MODIFIED)
async def list_commitments(
    viewer: AnyViewer,
    commitments: CommitmentStore,
    request: Request,
    organization: OrganizationIn = None,
    status: Annotated[CommitmentStatus | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CommitmentsOut:
    """What was opened is public; drafts are seen by those who have to do with them."""
    found = await commitments.page(
        organization=organization, status=status, viewer=viewer, after=cursor, limit=limit + 1
    )
    items = [line(one.state) for one in found[:limit]]
    return told(CommitmentsOut(items=items, next=items[-1].commitment if len(found) > limit else None), request)


@router.get(
    "/commitments/{commitment_id}",
    responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED | links(200, {**THIS, **TAGGED}, *COMMANDS),
)
async def one_commitment(
    commitment_id: IdIn,
    viewer: AnyViewer,
    commitments: CommitmentStore,
    directory: Regions,
    request: Request,
    response: Response,
) -> CommitmentOut:
    """One commitment, with its parties and signatures."""
    found = await commitments.get(commitment_id, viewer=viewer)
    # What is shown depends on who looks, too.
    response.headers["Vary"] = "Authorization"
    return tagged(found.tag, request, response) or shown(found, viewer, directory)


@router.post("/commitments/{commitment_id}/text", responses=REFUSALS)
async def rewrite_commitment(
    commitment_id: IdIn,
    asked: RewriteIn,
    command: Command,
    commitments: CommitmentStore,
    directory: Regions,
    response: Response,
) -> CommitmentOut:
    """Another text, while it is a draft or an amendment."""
    text, opening = asked.text.asked(), asked.opening and asked.opening.asked()
    done = await usecases.manage(
        commitment_id,
        lambda one, actor: one.rewritten(text, reserved=asked.reserved, opening=opening, actor=actor),
        command=command,
        commitments=commitments,
    )
    return shown(commitments.read(tell(done, response)), command.viewer, directory)


@router.post("/commitments/{commitment_id}/amendment", responses=REFUSALS)
async def amend_commitment(
    commitment_id: IdIn, command: Command, commitments: CommitmentStore, directory: Regions, response: Response
) -> CommitmentOut:
    """Begin a new edition, to be signed again by all; the one in force holds until then."""
    done = await usecases.manage(
        commitment_id, lambda one, actor: one.amended(actor=actor), command=command, commitments=commitments
    )
    return shown(commitments.read(tell(done, response)), command.viewer, directory)


@router.post("/commitments/{commitment_id}/parties", responses=REFUSALS)
async def name_party(
    commitment_id: IdIn,
    asked: PartyIn,
    command: Command,
    commitments: CommitmentStore,
    press: PressTools,
    response: Response,
) -> CommitmentOut:
    """Invite an organization to sign: in a draft, or later by a reserved place or a sheet of its own."""
    done = await usecases.name_party(
        commitment_id,
        asked.organization,
        asked.role,
        on_paper=asked.on_paper,
        command=command,
        commitments=commitments,
        press=press,
    )
    return shown(commitments.read(tell(done, response)), command.viewer, press.directory)


@router.post("/commitments/{commitment_id}/accession", responses=GIVEN)
async def join_commitment(
    commitment_id: IdIn,
    viewer: CurrentViewer,
    request: Creation,
    commitments: CommitmentStore,
    press: PressTools,
    response: Response,
) -> CommitmentOut:
    """Join, for your organization, a commitment that is open to it."""
    done = await usecases.join(commitment_id, viewer=viewer, request=request, commitments=commitments, press=press)
    return shown(commitments.read(tell(done, response)), viewer, press.directory)


@router.post("/commitments/{commitment_id}/parties/{block}/signatory", responses=GIVEN)
async def name_signatory(
    commitment_id: IdIn,
    block: BlockIn,
    asked: SignatoryIn,
    viewer: CurrentViewer,
    request: Creation,
    commitments: CommitmentStore,
    directory: Regions,
    response: Response,
) -> CommitmentOut:
    """Say who signs for your organization."""
    signatory = Signatory(**asked.model_dump())
    done = await usecases.name_signatory(
        commitment_id, block, signatory, viewer=viewer, request=request, commitments=commitments
    )
    return shown(commitments.read(tell(done, response)), viewer, directory)


@router.post("/commitments/{commitment_id}/opening", responses=REFUSALS)
async def open_commitment(
    commitment_id: IdIn, command: Command, commitments: CommitmentStore, press: PressTools, response: Response
) -> CommitmentOut:
    """Set the text as a document, to be signed. From now on it can't change."""
    done = await usecases.open_(commitment_id, command=command, commitments=commitments, press=press)
    return shown(commitments.read(tell(done, response)), command.viewer, press.directory)


@router.post("/commitments/{commitment_id}/entry-into-force", responses=REFUSALS)
async def close_signing(
    commitment_id: IdIn, command: Command, commitments: CommitmentStore, directory: Regions, response: Response
) -> CommitmentOut:
    """Close signing although some have not signed: it holds for those who have. The document is sealed then."""
    done = await usecases.manage(
        commitment_id, lambda one, actor: one.entered_force(actor=actor), command=command, commitments=commitments
    )
    return shown(commitments.read(tell(done, response)), command.viewer, directory)


@router.post("/commitments/{commitment_id}/completion", responses=REFUSALS)
async def complete_commitment(
    commitment_id: IdIn, command: Command, commitments: CommitmentStore, directory: Regions, response: Response
) -> CommitmentOut:
    """Its purpose is fulfilled; what was signed stays to be seen."""
    done = await usecases.manage(
        commitment_id, lambda one, actor: one.completed(actor=actor), command=command, commitments=commitments
    )
    return shown(commitments.read(tell(done, response)), command.viewer, directory)


@router.post("/commitments/{commitment_id}/withdrawal", responses=REFUSALS)
async def withdraw_commitment(
    commitment_id: IdIn,
    asked: ReasonIn,
    command: Command,
    commitments: CommitmentStore,
    directory: Regions,
    response: Response,
) -> CommitmentOut:
    """It holds no more, with the reason."""
    done = await usecases.manage(
        commitment_id,
        lambda one, actor: one.withdrawn(asked.reason, actor=actor),
        command=command,
        commitments=commitments,
    )
    return shown(commitments.read(tell(done, response)), command.viewer, directory)
