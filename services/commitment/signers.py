"""The ways of signing that are set up here, and which authorities are trusted."""

from pathlib import Path

from contracts.commitment import Provider
from services.commitment.pool import Pool
from services.commitment.providers.bsre import Bsre
from services.commitment.providers.local import Local, certificates
from services.commitment.providers.port import ProviderMissing, SigningProvider
from services.commitment.settings import CommitmentSettings


class Signers:
    """Providers by name."""

    def __init__(self, settings: CommitmentSettings, pool: Pool) -> None:
        self.tsa_url = settings.tsa_url
        self.roots: tuple[bytes, ...] = ()
        self._providers: dict[Provider, SigningProvider] = {}
        self._bsre: Bsre | None = None
        self._settings = settings
        self._pool = pool

    async def prepare(self) -> None:
        """Read what is trusted. Raises ValueError for a folder that holds no certificates, and for half a BSrE."""
        folder = self._settings.local_pki
        self.roots = tuple(_roots(folder and folder / "roots") + _roots(self._settings.trust_roots))
        if folder and self.tsa_url:
            self._providers[Provider.LOCAL] = Local(folder, self.tsa_url, self._pool)
        if self._settings.bsre_address and self._bsre is None:
            self._providers[Provider.BSRE] = self._bsre = self._open_bsre(self._settings.bsre_address)

    async def close(self) -> None:
        """Connections to signing services."""
        if self._bsre:
            await self._bsre.close()

    def find(self, name: Provider) -> SigningProvider:
        """Raises ProviderMissing."""
        if name not in self._providers:
            raise ProviderMissing(field="provider")
        return self._providers[name]

    def _open_bsre(self, address: str) -> Bsre:
        user, password = self._settings.bsre_user, self._settings.bsre_password
        if not (user and password and self.roots):
            # Without roots each of its signatures would be made, and then not be believed.
            raise ValueError("BSRE_ADDRESS needs BSRE_USER, BSRE_PASSWORD and TRUST_ROOTS")
        return Bsre(
            address,
            user=user,
            password=password.get_secret_value(),
            answers_within_s=self._settings.bsre_answers_within_s,
        )


def _roots(folder: Path | None) -> list[bytes]:
    if folder is None:
        return []
    found = [one for path in sorted(folder.glob("*.pem")) for one in certificates(path)]
    if not found:
        raise ValueError(f"{folder} holds no certificate (*.pem): set LOCAL_PKI and TRUST_ROOTS to folders that do")
    return found
