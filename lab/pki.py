"""A development authority for signatures, by Certomancer: certificates that carry an office, and are not for law.

`python -m lab.pki serve FOLDER --port N` answers for it: time stamps, OCSP and CRLs on loopback. The folder is what the
commitment service reads as LOCAL_PKI:

    roots/root.pem                           trusted
    chain.pem                                the intermediate
    signers/<organization>/<office>.pem      a certificate
    signers/<organization>/<office>.key      its key (PKCS#8), opened by the office's passphrase

Made on the first start, and kept: only offices are added, since serial numbers follow their order.
"""

import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from aiohttp import web
from asn1crypto import pem
from certomancer.integrations.aiohttp_animator import build_animator_app
from certomancer.registry import ArchLabel, CertLabel, CertomancerConfig
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from contracts.organizations import organizations
from contracts.regions import Directory
from services.commitment.providers.local import slug

AUTHORITIES = {
    "root": "Living Lab Development Root (tidak berlaku secara hukum)",
    "interm": "Living Lab Development CA (tidak berlaku secara hukum)",
    "tsa": "Living Lab Development TSA (tidak berlaku secara hukum)",
    "ocsp": "Living Lab Development OCSP (tidak berlaku secara hukum)",
}
VALID = {"valid-from": "2020-01-01T00:00:00+0000", "valid-to": "2050-01-01T00:00:00+0000"}
ARCHITECTURE = "lab"
TSA_PATH = "/lab/tsa/tsa"
CRLS_COVER = "P90D"

commands = typer.Typer(add_completion=False, no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Office:
    """What a certificate is for."""

    organization: str
    """A region's code or an institution's slug."""
    name: str
    """Of the organization, for people."""
    office: str

    @property
    def label(self) -> str:
        """Its name among files and certificates."""
        return f"{self.organization.replace('.', '-')}--{slug(self.office)}"


def all_offices() -> Iterable[Office]:
    """Whoever signs for each region that governs itself, and for each institution."""
    for region in Directory.load():
        if region.self_governing:
            yield Office(region.code, region.name, "Sekretaris Daerah")
    for institution in organizations().values():
        yield Office(institution.slug, institution.name_id, "Sekretaris Jenderal")


def passphrase(folder: Path, organization: str, office: str) -> str:
    """Of an office's key: derived, so that a lab can be asked for it again."""
    seed = (folder / "seed").read_bytes()
    return hmac.digest(seed, f"{organization}\n{slug(office)}".encode(), "sha256").hex()[:20]


def prepare(folder: Path, offices: Iterable[Office], address: str) -> None:
    """Make what is missing of keys, certificates and Certomancer's configuration, served at `address`."""
    (folder / "keys").mkdir(parents=True, exist_ok=True)
    if not (folder / "seed").exists():
        _write(folder / "seed", secrets.token_bytes(32))
    known: dict[str, dict[str, str]] = {}
    if (folder / "offices.json").exists():
        known = json.loads((folder / "offices.json").read_bytes())
    for one in offices:
        known.setdefault(one.label, {"organization": one.organization, "name": one.name, "office": one.office})
    (folder / "offices.json").write_text(json.dumps(known, ensure_ascii=False, indent=1), encoding="utf-8")
    for label in (*AUTHORITIES, *known):
        _make_key(folder / "keys" / f"{label}.pem", by_rsa=label in ("root", "tsa", "ocsp"))
    (folder / "certomancer.yml").write_text(yaml.safe_dump(_configuration(known, address), sort_keys=False))
    architecture = _load(folder).get_pki_arch(ArchLabel(ARCHITECTURE))
    _pem(folder / "roots" / "root.pem", architecture.get_cert(CertLabel("root")))
    _pem(folder / "chain.pem", architecture.get_cert(CertLabel("interm")))
    for label, office in known.items():
        place = folder / "signers" / office["organization"] / slug(office["office"])
        if not place.with_suffix(".key").exists():
            _pem(place.with_suffix(".pem"), architecture.get_cert(CertLabel(label)))
            opened = passphrase(folder, office["organization"], office["office"])
            _write(place.with_suffix(".key"), _encrypted((folder / "keys" / f"{label}.pem").read_bytes(), opened))


@commands.callback()
def about() -> None:
    """The development authority for signatures: not for law."""


@commands.command()
def serve(
    folder: Path,
    port: Annotated[int, typer.Option(help="On loopback.")],
    everybody: Annotated[bool, typer.Option(help="First make certificates for all regions and institutions.")] = False,
) -> None:
    """Answer for time stamps, OCSP and CRLs until stopped."""
    if everybody:
        prepare(folder, all_offices(), f"http://127.0.0.1:{port}")
    application = build_animator_app(_load(folder).pki_archs, with_web_ui=False, allow_time_override=False)
    web.run_app(application, host="127.0.0.1", port=port, print=None)


def _load(folder: Path) -> CertomancerConfig:
    return CertomancerConfig.from_file(str(folder / "certomancer.yml"), key_search_dir=str(folder / "keys"))


def _make_key(path: Path, *, by_rsa: bool) -> None:
    if path.exists():
        return
    # RSA signatures are the same each time, so that a restart issues authorities the same certificates. Who issues to
    # everybody has an elliptic curve, whose key loads in 1 ms instead of 20: those certificates are kept as they are.
    key = rsa.generate_private_key(65537, 2048) if by_rsa else ec.generate_private_key(ec.SECP256R1())
    _write(path, _pkcs8(key, NoEncryption()))


def _encrypted(pem: bytes, opened_by: str) -> bytes:
    return _pkcs8(load_pem_private_key(pem, None), BestAvailableEncryption(opened_by.encode()))


def _pkcs8(key: Any, encryption: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


def _pem(path: Path, certificate: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pem.armor("CERTIFICATE", certificate.dump()))


def _configuration(offices: dict[str, dict[str, str]], address: str) -> dict[str, Any]:
    def issued_by(issuer: str, **more: Any) -> dict[str, Any]:
        return {"issuer": issuer, "validity": VALID, **more}

    def repository(issuer: str) -> dict[str, str]:
        return {"for-issuer": issuer, "signing-key": issuer, "simulated-update-schedule": CRLS_COVER}

    entities = {
        label: {
            "organization-name": f"Pemerintah {one['name']}" if one["organization"][0].isdigit() else one["name"],
            "organizational-unit-name": one["organization"],
            "common-name": f"{one['office']}, {one['name']}",
        }
        for label, one in offices.items()
    }
    stamps = [
        {"id": "extended_key_usage", "critical": True, "value": ["time_stamping"]},
        {
            "id": "key_usage",
            "critical": True,
            "smart-value": {"schema": "key-usage", "params": ["digital_signature"]},
        },
    ]
    # Where revocations are asked is a parameter of the issuer, and holds for what it issues.
    root_profile = {"id": "simple-ca", "params": {"crl-repo": "root"}}
    issuer_profile = {
        "id": "simple-ca",
        "params": {"crl-repo": "interm", "ocsp-service": "interm", "max-path-len": 0},
    }
    labels = [*AUTHORITIES, *offices]
    architecture = {
        "keyset": "lab",
        "entity-defaults": {"country-name": "ID"},
        "entities": {**{label: {"common-name": name} for label, name in AUTHORITIES.items()}, **entities},
        "certs": {
            "root": {"subject": "root", **issued_by("root", profiles=[root_profile])},
            "interm": issued_by("root", profiles=[issuer_profile]),
            "tsa": issued_by("root", extensions=stamps),
            "ocsp": issued_by("interm", profiles=[{"id": "ocsp-responder"}]),
            **{label: issued_by("interm", profiles=[{"id": "digsig-commitment"}]) for label in offices},
        },
        "services": {
            "ocsp": {"interm": {"for-issuer": "interm", "responder-cert": "ocsp", "signing-key": "ocsp"}},
            "crl-repo": {"root": repository("root"), "interm": repository("interm")},
            "time-stamping": {"tsa": {"signing-key": "tsa", "signing-cert": "tsa"}},
        },
    }
    keys = {label: {"path": f"{label}.pem"} for label in labels}
    return {
        "external-url-prefix": address,
        "keysets": {"lab": {"path-prefix": ".", "keys": keys}},
        "pki-architectures": {ARCHITECTURE: architecture},
    }


if __name__ == "__main__":
    commands()
