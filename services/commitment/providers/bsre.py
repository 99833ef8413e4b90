"""Signatures by BSrE, through the eSign Client Service v2 that runs in the agency's own network.

Built from its documents and from what others report of it; it has not met the real service (README, "BSrE").
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from typing import Any, ClassVar
from urllib.parse import quote

import orjson
import structlog
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
)
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, NameOID, load_der_x509_certificate, load_pem_x509_certificate
from yarl import URL

from chassis.clock import now
from contracts.commitment import Provider
from services.commitment.domain.signatory import Signatory
from services.commitment.papers.sign import Request
from services.commitment.providers.port import (
    NoAnswer,
    NoCertificate,
    NotRegistered,
    OtherPerson,
    ProviderUnavailable,
    Secret,
    SigningRefused,
    WrongPassphrase,
)

log = structlog.stdlib.get_logger()

SIGN = "/api/v2/sign/pdf"
STATUS = "/api/v2/user/check/status"
CHAIN = "/api/v2/user/certificate/chain"
CONNECT_WITHIN_S = 3.0
ASK_WITHIN_S = 10.0
"""For whatever signs nothing; half a second was seen."""
ANSWER_MAX_BYTES = 64 * 1024 * 1024
ISSUED = "ISSUE"
REFUSALS: Mapping[str, type[SigningRefused]] = {"2011": NotRegistered, "2021": NoCertificate, "2031": WrongPassphrase}
"""By the service's own code: nothing was signed."""
BEFORE_A_NAME = frozenset(("prof", "dr", "dra", "drs", "ir", "h", "hj", "kh"))


@dataclass(frozen=True, slots=True, repr=False)
class _Reply:
    """What came back; no exception of the client leaves this module, for those hold addresses with a NIK."""

    sent: bool
    """False: no connection was made, so nothing of the request left the house."""
    status: int | None = None
    said: Mapping[str, Any] | None = None
    """Where it is a JSON object."""


class Bsre:
    """One application at one eSign Client. Neither a request nor an answer is ever logged, and no signing repeated."""

    name: ClassVar = Provider.BSRE
    remote: ClassVar = True
    for_law: ClassVar = True

    def __init__(self, address: str, *, user: str, password: str, answers_within_s: float) -> None:
        self._address = address
        self._answers_within_s = answers_within_s
        self._session = ClientSession(
            headers={"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()},
            cookie_jar=DummyCookieJar(),
            # A kept connection that the other side has closed would make an outcome unknown for nothing.
            connector=TCPConnector(force_close=True),
        )

    async def close(self) -> None:
        """With what is under way."""
        await self._session.close()

    async def expect(self, signatory: Signatory, organization: str, secret: Secret) -> str:  # noqa: ARG002 -- the port's
        """Of the certificate that BSrE issued to this NIK or e-mail.

        Raises NotRegistered, NoCertificate, OtherPerson, WrongPassphrase where none was given, SigningRefused,
        ProviderUnavailable.
        """
        who = _identity(secret)
        if not (secret.passphrase or secret.totp):
            raise WrongPassphrase(field="passphrase")
        status = _told(await self._ask("POST", STATUS, within_s=ASK_WITHIN_S, body=who)).get("status")
        if not isinstance(status, str):
            raise ProviderUnavailable
        if status != ISSUED:
            raise NotRegistered if status == "NOT_REGISTERED" else NoCertificate
        (identity,) = who.values()
        chain = await self._ask("GET", f"{CHAIN}/{quote(identity, safe='')}", within_s=ASK_WITHIN_S)
        if chain.status == 400:
            raise NoCertificate
        leaf = _leaf(_told(chain).get("data"))
        if leaf is None:
            log.warning("the certificate chain of the eSign Client cannot be read")
            raise ProviderUnavailable
        fingerprint, name, ends = leaf
        if ends <= now():
            raise NoCertificate
        pinned = signatory.certificate_sha256
        if fingerprint != pinned if pinned else not same_person(name, signatory.name):
            raise OtherPerson
        return fingerprint

    async def sign(self, asked: Request, organization: str, office: str, secret: Secret) -> bytes:  # noqa: ARG002
        """Asked once. Raises WrongPassphrase, NotRegistered, NoCertificate, SigningRefused, ProviderUnavailable.

        Raises NoAnswer for whatever is not surely a no: also an error page, or a 200 without a document.
        """
        # Units and origin of a visible stamp are nowhere said: invisible, as the one call that was seen to work.
        properties = {"tampilan": "INVISIBLE", "location": asked.location, "reason": asked.reason}
        key = {"totp": secret.totp} if secret.totp else {"passphrase": secret.passphrase}
        body = _identity(secret) | key | {"signatureProperties": [properties], "file": [b64encode(asked.pdf).decode()]}
        reply = await self._ask("POST", SIGN, within_s=self._answers_within_s, body=body)
        said = reply.said or {}
        if not reply.sent:
            raise ProviderUnavailable
        match reply.status:
            case None:
                raise NoAnswer("no_answer")
            case 200:
                if (document := _document(said.get("file"))) is None:
                    raise NoAnswer("no_document")
                return document
            case 401 | 403:
                raise _refuses_us(reply.status)
            case 400 if refusal := REFUSALS.get(str(said.get("status_code"))):
                raise refusal
            case 429 | 503 if "error" in said:  # its own words; a proxy's page tells nothing of what is behind it
                raise ProviderUnavailable
            case status:
                raise NoAnswer(f"status_{status}")

    async def _ask(
        self, method: str, path: str, *, within_s: float, body: Mapping[str, object] | None = None
    ) -> _Reply:
        timeout = ClientTimeout(total=within_s, connect=CONNECT_WITHIN_S)
        # As a file: aiohttp warns of bytes beyond a megabyte.
        data = BytesIO(orjson.dumps(body)) if body is not None else None
        headers = {"Content-Type": "application/json"} if data else {}
        url = URL(self._address + path, encoded=True)
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, allow_redirects=False, timeout=timeout
            ) as response:
                content = bytearray()
                async for piece in response.content.iter_any():
                    content += piece
                    if len(content) > ANSWER_MAX_BYTES:
                        return _Reply(sent=True)
                return _Reply(sent=True, status=response.status, said=_object(bytes(content)))
        except (ClientConnectorError, ConnectionTimeoutError):
            return _Reply(sent=False)
        except (ClientError, OSError):
            return _Reply(sent=True)


def same_person(certified: str, named: str) -> bool:
    """Whether two names differ by nothing but capitals and titles: `Dr. H. BUDI, S.T., MM` is `Budi`."""
    words = _without_titles(certified)
    return bool(words) and words == _without_titles(named)


def _without_titles(name: str) -> list[str]:
    first, *others = name.casefold().split(",")
    words = first.split()
    while words and words[0].strip(".") in BEFORE_A_NAME:
        words.pop(0)
    for part in others:
        # A degree is abbreviated, or a short word. `Sekretaris Daerah, Kota Batu` is no degree: it names the office.
        degree = "." in part or (len(part.split()) == 1 and len(part.strip()) <= 5)
        words += [] if degree else part.split()
    return words


def _identity(secret: Secret) -> dict[str, str]:
    if secret.nik:
        return {"nik": secret.nik}
    if secret.email:
        return {"email": secret.email}
    raise NotRegistered(field="nik")


def _told(reply: _Reply) -> Mapping[str, Any]:
    if reply.status in (401, 403):
        raise _refuses_us(reply.status)
    if reply.status != 200 or reply.said is None:
        raise ProviderUnavailable
    return reply.said


def _refuses_us(status: int) -> SigningRefused:
    log.error("the eSign Client refuses this application: look at BSRE_USER and BSRE_PASSWORD", status=status)
    return SigningRefused()


def _object(content: bytes) -> Mapping[str, Any] | None:
    try:
        read = orjson.loads(content)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _document(files: object) -> bytes | None:
    match files:
        case [str(file)]:
            try:
                return b64decode(file, validate=True) or None
            except ValueError:
                return None
        case _:
            return None


def _leaf(chain: object) -> tuple[str, str, datetime] | None:
    """SHA-256, common name and end of the one that issued no other: in which order they come is nowhere said."""
    if not isinstance(chain, list):
        return None
    try:
        read = [_certificate(str(one)) for one in chain]
        leaves = [one for one in read if all(other is one or other.issuer != one.subject for other in read)]
        (leaf,) = leaves
        (name,) = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return sha256(leaf.public_bytes(Encoding.DER)).hexdigest(), str(name.value), leaf.not_valid_after_utc
    except ValueError:  # also: not exactly one leaf, or name
        return None


def _certificate(told: str) -> Certificate:
    """PEM, or DER in base64. Raises ValueError."""
    if told.startswith("-----"):
        return load_pem_x509_certificate(told.encode())
    return load_der_x509_certificate(b64decode(told, validate=True))
