"""The real Keycloak on loopback: the committed realm, built and configured as the image and compose do it.

Only its database is another one (a file), for there is no PostgreSQL here.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lab.parts.broker import java_command
from lab.parts.process import Part, ports, repository_root
from tests.ops import tools

VERSION = "26.7.3"
SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
FOLDER = repository_root() / "deploy" / "keycloak"
REALM = "livinglab"
READY_WITHIN_S = 150.0
BUILD_TIMEOUT_S = 240

Json = dict[str, Any]


def build_settings() -> dict[str, str]:
    """What the Dockerfile settles before `kc.sh build`."""
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.+)$", text, flags=re.MULTILINE)
    return dict(setting.split("=", 1) for setting in line.split())


def start_command() -> list[str]:
    """The image's command."""
    (line,) = re.findall(r"^CMD (.+)$", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE)
    return json.loads(line)


def installed() -> Path:
    """Keycloak as the Dockerfile builds it, made once into the cache."""
    settings = _settings_here()
    name = "-".join(f"{value}" for _, value in sorted(settings.items())).replace("/", "")
    target = tools.CACHE / f"keycloak-{VERSION}-{name}"
    if not target.exists():
        archive = tools.CACHE / f"keycloak-{VERSION}.zip"
        tools.fetch(f"org.keycloak:keycloak-quarkus-dist:zip:{VERSION}", sha256=SHA256, target=archive)
        with tempfile.TemporaryDirectory(dir=tools.CACHE) as folder:
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(folder)
            made = Path(folder) / f"keycloak-{VERSION}"
            done = subprocess.run(
                ["sh", str(made / "bin" / "kc.sh"), "build"],
                env={**_bare_environment(), **settings},
                capture_output=True,
                text=True,
                check=False,
                timeout=BUILD_TIMEOUT_S,
            )
            if done.returncode:
                raise tools.ToolMissing(f"Keycloak's build failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            tools.publish(made, target)
        archive.unlink(missing_ok=True)
    return target


def keycloak(directory: Path, service: Json) -> Part:
    """Keycloak with compose's settings (its service as loaded), the committed realm and a home of its own.

    Its address is the one inside; KC_HOSTNAME of compose is the one in tokens.
    """
    home = directory / "home"
    port, management_port = ports(directory, 2)
    _furnish(home)
    given: Mapping[str, str] = service["environment"]
    environment = {name: value for name, value in given.items() if not name.startswith("KC_DB")} | _settings_here()
    environment |= {
        "KC_HTTP_HOST": "127.0.0.1",
        "KC_HTTP_PORT": str(port),
        "KC_HTTP_MANAGEMENT_PORT": str(management_port),
        "JAVA": java_command(),
    }
    asked = [part.replace("/9000", f"/{management_port}").replace("$$", "$") for part in service["healthcheck"]["test"]]

    def missing() -> str | None:
        healthy = subprocess.run(asked[1:], capture_output=True, check=False, timeout=30).returncode == 0
        return None if healthy else "compose's health check fails"

    return Part(
        "keycloak",
        address=f"http://127.0.0.1:{port}{environment['KC_HTTP_RELATIVE_PATH']}",
        port=port,
        command=["sh", str(home / "bin" / "kc.sh"), *start_command()],
        directory=directory,
        probe=missing,
        env=environment,
        ready_within_s=READY_WITHIN_S,
    )


@dataclass(frozen=True, slots=True)
class Administrator:
    """Keycloak's admin API, as an operator's console uses it."""

    client: httpx.Client
    realm: str = REALM

    @classmethod
    def sign_in(cls, client: httpx.Client, *, name: str, password: str) -> "Administrator":
        """With the account of the first start; `client` has the base URL that ends before /realms."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": name, "password": password}
        answer = client.post("/realms/master/protocol/openid-connect/token", data=form)
        client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        return cls(client)

    def get(self, what: str, **params: str) -> Any:
        """Something of the realm."""
        return self.client.get(f"/admin/realms/{self.realm}/{what}", params=params).raise_for_status().json()

    def post(self, what: str, content: object) -> str:
        """Add something to the realm; its id, where it has one."""
        answer = self.client.post(f"/admin/realms/{self.realm}/{what}", json=content).raise_for_status()
        return answer.headers.get("Location", "").rpartition("/")[2]

    def add_user(self, name: str, password: str, *, organization: str, roles: list[str]) -> str:
        """Somebody with these roles; the id, which is the `sub` of their tokens."""
        user = {
            "username": name,
            "enabled": True,
            "firstName": name.title(),
            "lastName": "Uji",
            "email": f"{name}@livinglab.test",
            "emailVerified": True,
            "attributes": {"organization": [organization]},
            "credentials": [{"type": "password", "value": password, "temporary": False}],
        }
        user_id = self.post("users", user)
        self.post(f"users/{user_id}/role-mappings/realm", [self.get(f"roles/{role}") for role in roles])
        return user_id

    def client_id_of(self, name: str) -> str:
        """The internal id of a client."""
        return self.get("clients", clientId=name)[0]["id"]


def _settings_here() -> dict[str, str]:
    return build_settings() | {"KC_DB": "dev-file"}


def _bare_environment() -> dict[str, str]:
    """Without KC_ variables of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KC_")} | {"JAVA": java_command()}


def _furnish(home: Path) -> None:
    """What Keycloak writes lies in its home: a home of our own, which shares the rest with the cache."""
    source = installed()
    (home / "data" / "import").mkdir(parents=True)
    for name in ("bin", "conf"):  # kc.sh finds its home from where it lies itself
        shutil.copytree(source / name, home / name)
    for name in ("lib", "providers", "themes"):
        (home / name).symlink_to(source / name)
    shutil.copy(FOLDER / "realm.json", home / "data" / "import")
