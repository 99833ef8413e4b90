"""The public key that webhooks are signed with."""

from fastapi import Request
from pydantic import BaseModel

from chassis.conditional import NOT_MODIFIED, told
from chassis.openapi import routes
from chassis.problems import problems
from services.notify.api.parameters import OwnKeys

router = routes("notify")


class KeysOut(BaseModel):
    """What receivers check `v1a` signatures with, in the form of Standard Webhooks (`whpk_…`)."""

    keys: list[str]


@router.get("/webhook-keys", responses=problems(429) | NOT_MODIFIED)
async def webhook_keys(keys: OwnKeys, request: Request) -> KeysOut:
    """The Lab's public key, for whoever would rather share no secret."""
    return told(KeysOut(keys=[keys.public]), request)
