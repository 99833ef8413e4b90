"""The ways of signing that are set up here, and which authorities are trusted."""

from pathlib import Path

from contracts.commitment import Provider
from services.commitment.pool import Pool
from services.commitment.providers.local import Local, certificates
from services.commitment.providers.port import ProviderMissing, SigningProvider
from services.commitment.settings import CommitmentSettings


class Signers:
    """Providers by name."""

    def __init__(self, settings: CommitmentSettings, pool: Pool) -> None:
        self.tsa_url = settings.tsa_url
        self.roots: tuple[bytes, ...] = ()
        self._providers: dict[Provider, SigningProvider] = {}
        self._settings = settings
        self._pool = pool

    async def prepare(self) -> None:
        """Read what is trusted. Raises ValueError for a folder that holds no certificates."""
        folder = self._settings.local_pki
        self.roots = tuple(_roots(folder and folder / "roots") + _roots(self._settings.trust_roots))
        if folder and self.tsa_url:
            self._providers[Provider.LOCAL] = Local(folder, self.tsa_url, self._pool)

    def find(self, name: Provider) -> SigningProvider:
        """Raises ProviderMissing."""
        if name not in self._providers:
            raise ProviderMissing(field="provider")
        return self._providers[name]


def _roots(folder: Path | None) -> list[bytes]:
    if folder is None:
        return []
    found = [one for path in sorted(folder.glob("*.pem")) for one in certificates(path)]
    if not found:
        raise ValueError(f"{folder} holds no certificate (*.pem): set LOCAL_PKI and TRUST_ROOTS to folders that do")
    return found
