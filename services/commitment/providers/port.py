"""What a signing provider is asked, and how it may answer. Secrets are arguments, never kept."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from chassis.problem import Problem, Unavailable
from contracts.commitment import Provider
from services.commitment.domain.signatory import Signatory
from services.commitment.papers.sign import Request


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """What only the signer knows, for the time of one request."""

    passphrase: str | None = None
    totp: str | None = None
    nik: str | None = None
    email: str | None = None

    def __repr__(self) -> str:
        return "Secret(…)"


class SigningRefused(Problem):
    """A definite no: nothing was signed. Its code is kept, so that a repeat is answered alike."""

    status, code, title = 409, "signing_refused", "The signing service refused"
    detail = "Nothing was signed. Ask the operator of the signing service, then try again with a new `Idempotency-Key`."
    detail_id = (
        "Tidak ada yang ditandatangani. Hubungi pengelola layanan tanda tangan, lalu coba lagi dengan "
        "`Idempotency-Key` baru."
    )


class WrongPassphrase(SigningRefused):
    """Mistyped."""

    code, title = "wrong_passphrase", "The passphrase is not right"
    detail = "Nothing was signed. Try again with the right passphrase and a new `Idempotency-Key`."
    detail_id = "Tidak ada yang ditandatangani. Coba lagi dengan passphrase yang benar dan `Idempotency-Key` baru."


class NoCertificate(SigningRefused):
    """Nobody is certified for this."""

    code, title = "no_certificate", "There is no valid certificate for the signatory"
    detail = "Nothing was signed. Have a certificate issued for the signatory's office, or renewed, then try again."
    detail_id = "Tidak ada yang ditandatangani. Terbitkan atau perbarui sertifikat pejabatnya, lalu coba lagi."


class NotRegistered(SigningRefused):
    """The signing service does not know this person."""

    code, title = "not_registered", "The signing service does not know this signatory"
    detail = "Nothing was signed. Check the NIK or e-mail; register with BSrE if that was never done."
    detail_id = "Tidak ada yang ditandatangani. Periksa NIK atau surel; daftar ke BSrE bila belum."


class OtherPerson(SigningRefused):
    """A valid certificate, of somebody else."""

    code, title = "other_person", "The certificate is not the signatory's"
    detail = (
        "Nothing was signed. It bears another name than the signatory that was named. Name whoever signs, as the "
        "certificate bears it, or with its `certificate_sha256`."
    )
    detail_id = (
        "Tidak ada yang ditandatangani. Namanya berbeda dari penanda tangan yang ditetapkan. Tetapkan penanda tangan "
        "sesuai sertifikat, atau dengan `certificate_sha256`-nya."
    )


class ProviderMissing(SigningRefused):
    """Not set up here."""

    status, code, title = 422, "provider_missing", "This way of signing is not offered here"
    detail = "Choose another `provider`, or have this one set up by the operator."
    detail_id = "Pilih `provider` lain, atau minta pengelola menyiapkannya."


class ProviderUnavailable(Unavailable):
    """It was not reached, or is busy: nothing of the document left the house."""

    code, title = "provider_unavailable", "The signing service does not answer"
    detail = "Nothing was signed. Try again after `Retry-After` seconds with a new `Idempotency-Key`."
    detail_id = "Tidak ada yang ditandatangani. Coba lagi setelah `Retry-After` detik dengan `Idempotency-Key` baru."


REFUSALS: dict[str, type[Problem]] = {
    one.code: one
    for one in (
        SigningRefused,
        WrongPassphrase,
        NoCertificate,
        NotRegistered,
        OtherPerson,
        ProviderMissing,
        ProviderUnavailable,
    )
}
"""By code: as they are kept for repeats."""


class NoAnswer(Exception):
    """The document was sent, and no usable answer came: it may have been signed. `args[0]`: why, as a code."""


class SigningProvider(Protocol):
    """A way to get electronic signatures."""

    name: ClassVar[Provider]
    remote: ClassVar[bool]
    """The document leaves the house: no answer means that the outcome is unknown."""
    for_law: ClassVar[bool]

    async def expect(self, signatory: Signatory, organization: str, secret: Secret) -> str:
        """SHA-256 of the certificate that will sign. Raises SigningRefused, ProviderUnavailable."""
        ...

    async def sign(self, asked: Request, organization: str, office: str, secret: Secret) -> bytes:
        """The signed document. Raises SigningRefused, ProviderUnavailable, NoAnswer."""
        ...
