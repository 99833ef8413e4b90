"""What commitment reads beyond the chassis' settings. Each value is documented once, here."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from chassis.settings import Settings
from services.commitment.domain.signing import TURN_S


class CommitmentSettings(Settings):
    """The variable is the field's name in capitals, without a prefix."""

    public_address: Annotated[str, Field(pattern=r"^https?://[^/?#]+$")] = "http://localhost:8080"
    """Where people reach this service: what the QR code of a document leads to."""
    local_pki: Path | None = None
    """Folder of a development authority (`python -m lab.pki`): `roots/`, `chain.pem`, `signers/`. Whoever signs by it
    signs not for law. Unset: nobody can."""
    trust_roots: Path | None = None
    """Folder of PEM certificates that are trusted beside those of `local_pki`: the roots of BSrE."""
    tsa_url: str | None = None
    """Time stamps (RFC 3161) for local signatures and for sealing. Unset: papers are not sealed."""
    signing_processes: Annotated[int, Field(ge=1, le=16)] = 1
    """Children that set, sign and check documents; each takes about 130 MB."""
    verification_processes: Annotated[int, Field(ge=1, le=16)] = 2
    """Strangers' documents that are looked at at once; more are asked to come again (503)."""
    bsre_address: Annotated[str, Field(pattern=r"^https?://[^/?#]+$")] | None = None
    """The agency's eSign Client Service. Unset: nobody can sign by BSrE."""
    bsre_user: str | None = None
    bsre_password: SecretStr | None = None
    """Of the application at the eSign Client (Basic authentication)."""
    bsre_answers_within_s: Annotated[float, Field(gt=0, le=600)] = 300.0
    """An answer that comes later is not waited for: its outcome is unknown."""
    turn_s: Annotated[float, Field(gt=0, le=3_600)] = TURN_S
    """A signer's turn that nothing came of is free again after so long; one that was sent is unknown then."""
    signer_waits_s: Annotated[float, Field(gt=0, le=120)] = 60.0
    """A signer whose provider takes longer is told to look again (202)."""
    audit_signing_key: SecretStr | None = None
    """Ed25519 private key that signs checkpoints of the audit trail: its 32 bytes in base64. Unset: none are made."""
    audit_every_s: Annotated[float, Field(gt=0)] = 3_600.0
    """Between two checkpoints."""
