"""The script that forms the replica set and makes the users, on three real members that ask for passwords."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from lab.parts.mongo import mongod_command
from lab.parts.process import ports
from tests.ops import tools

pytestmark = [pytest.mark.ops, pytest.mark.timeout(120)]

KEY = "bW9uZ29kYiBtZW1iZXJz"
STOP_TIMEOUT_S = 30

Initiate = Callable[[dict[str, str]], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three members as in deploy/k8s/base/mongodb, not yet a set; their addresses as in a URI."""
    folder = tmp_path_factory.mktemp("members")
    key = folder / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    chosen = ports(folder, 3)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for port in chosen:
            data = folder / str(port)
            data.mkdir()
            command = [
                *(mongod_command(), "--replSet", "rs0", "--bind_ip", "127.0.0.1", "--keyFile", str(key)),
                *("--port", str(port), "--dbpath", str(data), "--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"),
            ]
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        yield ",".join(f"127.0.0.1:{port}" for port in chosen)
    finally:
        for process in running:
            process.kill()  # nothing of it is kept
        for process in running:
            process.wait(STOP_TIMEOUT_S)


@pytest.fixture
def initiate(root: Path) -> Initiate:
    """Runs the script with the environment given and nothing else."""
    script = root / "deploy" / "k8s" / "base" / "mongodb" / "initiate.py"
    return lambda environment: tools.run([sys.executable, script], environment=environment)


def test_users_get_their_own_database_alone_and_a_second_run_sets_new_passwords(
    initiate: Initiate, members: str, services: list[str]
) -> None:
    uri = "mongodb://{0}:{1}@" + members + "/{0}?replicaSet=rs0"
    connect: Callable[..., MongoClient[dict[str, Any]]] = MongoClient[dict[str, Any]]
    for password in ("first", "second"):
        users = {f"MONGODB_URI_{name.upper()}": uri.format(name, password) for name in services}
        done = initiate({"MONGODB_KEY": KEY, **users})
        assert done.returncode == 0, done.stderr
        for name in services:
            with connect(uri.format(name, password), w="majority") as client:
                client[name]["things"].insert_one({"password": password})
                assert client[name]["things"].find_one({"password": password})
                for other in set(services) - {name}:
                    with pytest.raises(OperationFailure, match="not authorized"):
                        client[other]["things"].find_one({})
    for name in services:
        with connect(uri.format(name, "first")) as client, pytest.raises(OperationFailure, match="Authentication"):
            client[name]["things"].find_one({})


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"MONGODB_KEY": KEY},
        {"MONGODB_KEY": KEY, "MONGODB_URI_SCORING": "mongodb://scoring:x@127.0.0.1/scoring"},
        {"MONGODB_KEY": KEY, "MONGODB_URI_SCORING": "mongodb://127.0.0.1/scoring?replicaSet=rs0"},
    ],
)
def test_what_is_missing_is_named_before_anything_is_touched(initiate: Initiate, environment: dict[str, str]) -> None:
    done = initiate(environment)
    assert done.returncode == 1
    assert "replicaSet=rs0" in done.stderr
