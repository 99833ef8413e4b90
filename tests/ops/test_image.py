"""What deploy/build.sh makes, run as the image does: a service starts from its own tree and ends when told to."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from time import monotonic

import httpx
import pytest

from lab.keys import commitment_settings, webhook_settings
from lab.parts.process import ports, repository_root
from tests.faults.ground import Ground, a_ground
from tests.ops import tools

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

SERVICES = ("assessment", "commitment", "notify", "scoring")
WITHIN_S = 60.0
BUILD_TIMEOUT_S = 300


def build(step: str, service: str, target: Path) -> subprocess.CompletedProcess[str]:
    """By the script of the Dockerfile."""
    path = f"{tools.python_tool('uv').parent}:{os.environ['PATH']}"
    return subprocess.run(
        [repository_root() / "deploy" / "build.sh", step, service, target],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
    )


class Image:
    """A tree of its own: packages and code."""

    def __init__(self, service: str, directory: Path) -> None:
        self.service = service
        self.venv, self.app = directory / "venv", directory / "app"
        for step, target in (("packages", self.venv), ("code", self.app)):
            done = build(step, service, target)
            assert done.returncode == 0, done.stderr
        stage = (repository_root() / "deploy" / "Dockerfile").read_text()
        self.variables = dict(
            re.findall(r"(PYTHON\w+|UVICORN_APP|METRICS_HOST)=(\S+)", stage.replace("/app", str(self.app)))
        )
        self.variables["UVICORN_APP"] = self.variables["UVICORN_APP"].replace("${SERVICE}", service)
        (self.entry,) = re.findall(r'ENTRYPOINT \["python", "-c", "(.+)"\]', stage)
        self.command: list[str] = json.loads(re.findall(r"^CMD (.+)$", stage, flags=re.MULTILINE)[-1])

    def environment(self, told: Mapping[str, str]) -> dict[str, str]:
        """As in the container; nothing of ours but what it is told."""
        return {**self.variables, "METRICS_HOST": "127.0.0.1", "PATH": f"{self.venv}/bin:{os.environ['PATH']}", **told}

    def run(self, line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A line of Python, in it."""
        return subprocess.run(
            [self.venv / "bin" / "python", "-c", line, *arguments],
            cwd=self.app,
            env=self.environment({}),
            capture_output=True,
            text=True,
            check=False,
        )

    def files(self) -> dict[str, int]:
        """Each with when it was changed, in nanoseconds."""
        return {str(file): file.stat().st_mtime_ns for folder in (self.venv, self.app) for file in folder.rglob("*")}


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Ground]:
    async with a_ground(tmp_path_factory.mktemp("ground")) as fresh:
        yield fresh


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_starts_from_its_own_tree_writes_nothing_there_and_ends_when_told(
    ground: Ground, tmp_path: Path, service: str
) -> None:
    image = await asyncio.to_thread(Image, service, tmp_path)
    assert {folder.name for folder in (image.app / "services").iterdir() if folder.is_dir()} == {service}
    (port,) = ports(tmp_path, 1)
    own = {"notify": webhook_settings, "commitment": lambda folder: commitment_settings(folder, pki=None)}
    keys = own[service](tmp_path / "keys") if service in own else {}
    told = ground.service(service, label=f"image-of-{service}", **keys).env
    before = image.files()
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *[word.replace("8000", str(port)).replace("0.0.0.0", "127.0.0.1") for word in image.command],
            env=image.environment(told),
            cwd=image.app,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = monotonic() + WITHIN_S
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            while not await ready(client):
                assert process.returncode is None, (tmp_path / "log").read_text()[-2000:]
                assert monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
                await asyncio.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        # uvicorn ends by the signal that it was sent, when everything is closed.
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == -signal.SIGTERM
        assert "Application shutdown complete" in (tmp_path / "log").read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert image.files() == before


async def ready(client: httpx.AsyncClient) -> bool:
    """Whether it says so."""
    try:
        return (await client.get("/readyz")).is_success
    except httpx.TransportError:
        return False


def test_the_lab_runs_its_command(tmp_path: Path) -> None:
    image = Image("lab", tmp_path)
    done = image.run(image.entry, "topics", "grant", "--help")
    assert done.returncode == 0, done.stderr
    assert "KAFKA_PASSWORD_" in done.stdout


def test_code_of_another_service_would_be_noticed(tmp_path: Path) -> None:
    image = Image("assessment", tmp_path)
    done = image.run("import services.scoring.app")
    assert "No module named 'services.scoring'" in done.stderr


def test_code_is_readable_whoever_checked_it_out(tmp_path: Path) -> None:
    """The container's user is not the one whose files the build read."""
    own = tmp_path / "tree"
    for folder in ("contracts", "chassis", "services"):
        shutil.copytree(repository_root() / folder, own / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (own / "deploy").mkdir()
    shutil.copy(repository_root() / "deploy" / "build.sh", own / "deploy")
    for path in (own, *own.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    made = tmp_path / "made"
    assert tools.run(["sh", own / "deploy" / "build.sh", "code", "scoring", made]).returncode == 0
    wanted = {True: 0o755, False: 0o644}
    modes = {path: path.stat().st_mode & 0o777 for path in (made, *made.rglob("*"))}
    assert {str(path): mode for path, mode in modes.items() if mode != wanted[path.is_dir()]} == {}


def test_a_changed_package_stops_the_build(tmp_path: Path) -> None:
    changed = tmp_path / "tree"
    (changed / "deploy").mkdir(parents=True)
    for file in ("pyproject.toml", "deploy/build.sh"):
        (changed / file).write_bytes((repository_root() / file).read_bytes())
    lock = (repository_root() / "requirements.lock").read_text()
    (changed / "requirements.lock").write_text(re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", lock))
    done = tools.run(
        ["sh", changed / "deploy" / "build.sh", "packages", "scoring", tmp_path / "venv"],
        environment={**os.environ, "PATH": f"{tools.python_tool('uv').parent}:{os.environ['PATH']}"},
    )
    assert done.returncode != 0
    assert "hash" in done.stderr.lower()


@pytest.mark.parametrize(("step", "service"), [("packages", ""), ("package", "scoring"), ("code", "none")])
def test_a_step_or_a_service_that_is_not_there_stops_the_build(tmp_path: Path, step: str, service: str) -> None:
    assert build(step, service, tmp_path / "made").returncode != 0
