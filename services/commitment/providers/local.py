"""Signatures by keys in a folder, under a development authority: for laboratories, not for law."""

from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates

from contracts.commitment import Provider
from services.commitment.domain.signatory import Signatory
from services.commitment.papers.sign import Identity, NoTimeStamp, Request, WrongPassphraseForKey, sign
from services.commitment.pool import ChildDied, Pool
from services.commitment.providers.port import NoCertificate, ProviderUnavailable, Secret, WrongPassphrase


class Local:
    """The folder is that of `lab.pki`: a certificate and its key for each office of an organization."""

    name: ClassVar = Provider.LOCAL
    remote: ClassVar = False
    for_law: ClassVar = False

    def __init__(self, folder: Path, tsa_url: str, pool: Pool) -> None:
        self._folder = folder
        self._tsa_url = tsa_url
        self._pool = pool

    async def expect(self, signatory: Signatory, organization: str, secret: Secret) -> str:  # noqa: ARG002 -- the port's
        """Of the office's certificate. Raises NoCertificate."""
        return sha256(self._certificate(organization, signatory.office)).hexdigest()

    async def sign(self, asked: Request, organization: str, office: str, secret: Secret) -> bytes:
        """Raises WrongPassphrase, NoCertificate, ProviderUnavailable."""
        identity = Identity(
            certificate=self._certificate(organization, office),
            chain=tuple(certificates(self._folder / "chain.pem")),
            key=self._signer(organization, office).with_suffix(".key").read_bytes(),
            passphrase=(secret.passphrase or "").encode(),
        )
        try:
            return await self._pool.run(sign, asked, identity, self._tsa_url)
        except WrongPassphraseForKey as error:
            raise WrongPassphrase(field="passphrase") from error
        except (NoTimeStamp, ChildDied) as error:
            raise ProviderUnavailable from error

    def _certificate(self, organization: str, office: str) -> bytes:
        path = self._signer(organization, office).with_suffix(".pem")
        if not path.exists():
            raise NoCertificate
        (certificate,) = certificates(path)
        return certificate

    def _signer(self, organization: str, office: str) -> Path:
        # Organizations are codes or slugs, checked where they enter; of an office only letters and digits are left.
        return self._folder / "signers" / organization / slug(office)


def certificates(path: Path) -> list[bytes]:
    """DER of each certificate in a PEM file. Raises ValueError where it holds none."""
    return [one.public_bytes(Encoding.DER) for one in load_pem_x509_certificates(path.read_bytes())]


def slug(office: str) -> str:
    """`Sekretaris Daerah` → `sekretaris-daerah`: the name of its certificate's file."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in office.lower())
    return "-".join(kept.split())
