"""Evidence of follow-ups: files and links, accepted or returned by whoever supervises the region."""

from typing import Annotated, Literal, Self

from fastapi import Path, Response
from pydantic import Field, model_validator

from chassis.auth import CurrentViewer
from chassis.openapi import routes
from chassis.problems import problems
from contracts.commitment import Id
from services.commitment.api.command import REFUSALS, Command, tell
from services.commitment.api.followup import FollowUpOut, Text, shown
from services.commitment.api.parameters import CommitmentStore, FollowUpStore, IdIn, In, UploadStore
from services.commitment.domain.followup import Judgement
from services.commitment.usecases import followup as usecases

router = routes("commitment")
EvidenceId = Annotated[Id, Path(examples=["6d0f2f4e-4f0a-5d5e-9f6e-0e5f3f7b8a11"])]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class EvidenceIn(In):
    """A file that was handed in, or a link; one of the two."""

    title: Text
    file: Id | None = None
    sha256: Sha256 | None = None
    """Of the file, as you have it."""
    url: Annotated[str, Field(max_length=2_048, pattern=r"^https://[^\s]+$")] | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.file is None) == (self.url is None) or (self.file is None) != (self.sha256 is None):
            raise ValueError("give `file` with its `sha256`, or `url`")
        return self


class JudgementIn(In):
    """Whether it shows what was done."""

    judgement: Literal[Judgement.ACCEPTED, Judgement.RETURNED]
    note: Annotated[str, Field(max_length=1_000)] | None = None
    """What is missing; needed with `returned`."""


@router.post("/followups/{followup_id}/evidence", responses=REFUSALS)
async def add_evidence(
    followup_id: IdIn,
    asked: EvidenceIn,
    command: Command,
    followups: FollowUpStore,
    uploads: UploadStore,
    response: Response,
) -> FollowUpOut:
    """Show what was done: a file that was handed in before, or a link, which nobody here follows."""
    done = await usecases.add_evidence(
        followup_id,
        title=asked.title,
        file=(asked.file, asked.sha256) if asked.file and asked.sha256 else None,
        url=asked.url,
        command=command,
        followups=followups,
        uploads=uploads,
    )
    return shown(followups.read(tell(done, response), viewer=command.viewer))


@router.post("/followups/{followup_id}/evidence/{evidence_id}/judgement", responses=REFUSALS)
async def judge_evidence(
    followup_id: IdIn,
    evidence_id: EvidenceId,
    asked: JudgementIn,
    command: Command,
    followups: FollowUpStore,
    commitments: CommitmentStore,
    response: Response,
) -> FollowUpOut:
    """Kemendagri, the region's province, or who watches over the commitment accepts it or returns it with a note."""
    done = await usecases.judge_evidence(
        followup_id,
        evidence_id,
        asked.judgement,
        note=asked.note,
        command=command,
        followups=followups,
        commitments=commitments,
    )
    return shown(followups.read(tell(done, response), viewer=command.viewer))


@router.get(
    "/followups/{followup_id}/evidence/{evidence_id}/file",
    response_class=Response,
    responses=problems(401, 404, 422, 429, 503)
    | {200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def evidence_file(
    followup_id: IdIn,
    evidence_id: EvidenceId,
    viewer: CurrentViewer,
    followups: FollowUpStore,
    commitments: CommitmentStore,
    uploads: UploadStore,
) -> Response:
    """The file behind a piece of evidence, for the region, who supervises it, and who watches over its commitment."""
    evidence, content = await usecases.evidence_file(
        followup_id, evidence_id, viewer=viewer, followups=followups, commitments=commitments, uploads=uploads
    )
    # Whatever it is, no browser is to run it in our name.
    headers = {
        "Content-Disposition": f'attachment; filename="{evidence.evidence}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
        "Vary": "Authorization",
    }
    return Response(content, media_type=evidence.media_type, headers=headers)
