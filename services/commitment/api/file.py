"""Files: handed in first, then pointed to by what they show."""

from typing import Any

from fastapi import Request
from pydantic import BaseModel

from chassis.auth import CurrentViewer
from chassis.body import FILE_TYPES, media_type_of
from chassis.conditional import IdempotencyKey
from chassis.openapi import routes
from chassis.problems import problems
from services.commitment.api.parameters import UploadStore
from services.commitment.domain.upload import FILE_MAX_BYTES
from services.commitment.usecases import upload as usecases

FILES = "/commitment/v1/files"
router = routes("commitment")


class FileOut(BaseModel):
    """A file, to be pointed to within 12 hours."""

    file: str
    media_type: str
    sha256: str
    bytes: int


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"The file itself, at most {FILE_MAX_BYTES} bytes.",
        "content": {
            kind: {"schema": {"type": "string", "contentMediaType": kind}, "example": "(isi berkas)"}
            for kind in sorted(FILE_TYPES)
        },
    }
}


@router.post(
    "/files",
    status_code=201,
    responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
    openapi_extra=_BODY,
)
async def upload_file(viewer: CurrentViewer, key: IdempotencyKey, uploads: UploadStore, request: Request) -> FileOut:
    """Hand a PDF, JPEG or PNG in for your organization: evidence, or the scan of a document signed on paper."""
    content = await request.body()
    found = await usecases.upload(content, media_type_of(request.headers), viewer=viewer, key=key, uploads=uploads)
    return FileOut(file=found.file, media_type=found.media_type, sha256=found.sha256, bytes=found.bytes)
