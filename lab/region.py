"""A region's portal, as any region could write it: plain HTTP with tokens, nothing of ours but the addresses."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx

from contracts.roles import Role
from lab.errors import LabError


class Refused(LabError):
    """A service did not do what was asked. The message holds what it answered."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who asks services for something; `authorization` is the header of that name."""

    http: httpx.AsyncClient
    authorization: str | None = None

    async def send(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **request: Any) -> Any:
        """A request that must succeed; its answer. Raises Refused with the problem's own words."""
        signed = {"Authorization": self.authorization} if self.authorization else {}
        try:
            answer = await self.http.request(method, url, headers={**signed, **(headers or {})}, **request)
        except httpx.HTTPError as failure:
            raise Refused(f"{method} {url} has no answer: {failure!r}") from failure
        if not answer.is_success:
            raise Refused(f"{method} {url} is answered with {answer.status_code}: {answer.text[:600]}")
        return answer


@dataclass(frozen=True, slots=True)
class Access:
    """Where the issuer and the services are, and one pool of connections to all of them."""

    http: httpx.AsyncClient
    issuer: str
    services: Mapping[str, str]

    async def sign_in(self, organization: str, *roles: Role, subject: str | None = None) -> Visitor:
        """A token of the development issuer; without a subject, of an id of its own. Raises Refused."""
        form: dict[str, Any] = {"organization": organization, "role": [role.value for role in roles]}
        if subject:
            form["subject"] = subject
        answer = await Visitor(self.http).send("POST", f"{self.issuer}/token", data=form)
        return Visitor(self.http, f"Bearer {answer.json()['access_token']}")

    def url(self, service: str, path: str) -> str:
        """Of an operation, such as ("scoring", "standings")."""
        return f"{self.services[service]}/{service}/v1/{path}"


async def report(
    access: Access, region: str, *, cycle: str, levels: Mapping[int, int], fakta: str, traceparent: str | None = None
) -> float:
    """Open, fill, sign, check and submit a region's assessment; when the submission was sent, on the monotonic clock.

    Three people of the region do it, as the regulation has it: one enters data, the coordinator (Sekda) signs the
    minutes, the responsible one checks and sends.
    With a `traceparent` the submission's trace begins at the caller. Raises Refused.
    """
    entry = await access.sign_in(region, Role.DATA_ENTRY)
    opening = {"region": region, "cycle": cycle}
    await entry.send("POST", access.url("assessment", "assessments"), json=opening, headers=fresh_key())

    assessment = access.url("assessment", f"assessments/{cycle}:{region}")
    questions = (await entry.send("GET", assessment)).json()["answers"]
    answers = [
        {"number": q["number"], "etag": q["etag"], "level": levels[q["number"]], "fakta": fakta} for q in questions
    ]
    await entry.send("PATCH", f"{assessment}/answers", json={"answers": answers})

    coordinator = await access.sign_in(region, Role.COORDINATOR)
    seen = await coordinator.send("GET", f"{assessment}/progress")
    await coordinator.send("POST", f"{assessment}/minutes", headers={**fresh_key(), "If-Match": seen.headers["etag"]})

    responsible = await access.sign_in(region, Role.RESPONSIBLE)
    progress = await responsible.send("GET", f"{assessment}/progress")
    if missing := progress.json()["missing"]:
        raise Refused(f"{region} answered everything, and {assessment}/progress still misses {missing}")
    headers = {**fresh_key(), "If-Match": progress.headers["etag"]}
    if traceparent:
        headers["traceparent"] = traceparent
    sent_at = monotonic()
    await responsible.send("POST", f"{assessment}/submission", headers=headers)
    return sent_at


def fresh_key() -> dict[str, str]:
    """A new Idempotency-Key."""
    return {"Idempotency-Key": str(uuid4())}
