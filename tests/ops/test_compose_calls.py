"""Who calls whom on one machine: each address that a configuration holds is a container which the caller reaches."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from services.notify.post import MailServer

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Containers = dict[str, dict[str, Any]]
Call = tuple[str, str]
"""Who calls, and host:port."""


def calls(root: Path) -> Iterator[Call]:
    """As the configurations have them."""
    observability = root / "deploy" / "observability"
    prometheus = yaml.safe_load((observability / "prometheus" / "prometheus.yml").read_text())
    for job in [*prometheus["scrape_configs"], *prometheus["alerting"]["alertmanagers"]]:
        for targets in job.get("static_configs", []):
            yield from (("prometheus", target) for target in targets["targets"])
        for found in job.get("dns_sd_configs", []):
            yield from (("prometheus", f"{name}:{found['port']}") for name in found["names"])
    sources = yaml.safe_load((observability / "grafana/provisioning/datasources/livinglab.yaml").read_text())
    yield from (("grafana", urlsplit(source["url"]).netloc) for source in sources["datasources"])
    for name in ("collector", "logs"):
        configured = (observability / f"{name}.yaml").read_text()
        yield from ((name, address) for address in re.findall(r"_ADDRESS:-http://([^/}]+)", configured))
    example = (root / ".env.example").read_text()
    (endpoint,) = re.findall(r"^OTEL_EXPORTER_OTLP_ENDPOINT=http://(.+)$", example, flags=re.MULTILINE)
    yield from ((f"{service}-worker", endpoint) for service in ("assessment", "scoring", "commitment", "notify"))
    mail = MailServer.parse(caught(example))
    yield from ((f"notify-{role}", f"{mail.host}:{mail.port}") for role in ("api", "worker"))
    caddyfile = (root / "deploy" / "proxy" / "Caddyfile").read_text()
    yield from (("proxy", address) for address in re.findall(r"^\s+import \w+ .*\{\$\w+:(.+:\d+)\}$", caddyfile, re.M))


def caught(example: str) -> str:
    """The address of the mail catcher, which stands in a comment."""
    (uri,) = re.findall(r"smtp\+plain://\S+", example)
    return uri


def unreached(containers: Containers, called: list[Call]) -> list[Call]:
    """Calls to nobody, or to somebody on no network of the caller's."""

    def on(name: str) -> set[str]:
        return set(containers[name].get("networks", {}))

    def named(host: str, network: str) -> bool:
        return any(
            host in (name, *((one["networks"][network] or {}).get("aliases", ())))
            for name, one in containers.items()
            if network in one.get("networks", {})
        )

    others = [(who, where) for who, where in called if not where.startswith("localhost:")]
    return [
        (who, where) for who, where in others if not any(named(where.partition(":")[0], network) for network in on(who))
    ]


def test_everybody_reaches_whom_they_call(root: Path, compose: dict[str, Any]) -> None:
    called = list(calls(root))
    assert {who for who, _ in called} >= {"prometheus", "grafana", "collector", "logs", "notify-api", "proxy"}
    assert unreached(compose["services"], called) == []


@pytest.mark.parametrize(
    ("change", "call"),
    [
        (lambda them: them["loki"].update(networks={"edge": None}), ("grafana", "loki:3100")),
        (lambda them: them.pop("jaeger"), ("collector", "jaeger:4318")),
        (lambda them: them["notify-api"]["networks"].pop("watch"), ("notify-api", "mail.internal:1025")),
        (lambda them: them["mail"].update(networks={"watch": None}), ("notify-worker", "mail.internal:1025")),
        (lambda them: them["proxy"]["networks"].pop("watch"), ("proxy", "grafana:3000")),
        (lambda them: them["scoring-api"]["networks"].pop("watch"), ("prometheus", "scoring-api:9464")),
    ],
)
def test_who_is_not_reached_is_named(
    root: Path, compose: dict[str, Any], change: Callable[[Containers], object], call: Call
) -> None:
    change(compose["services"])
    assert call in unreached(compose["services"], list(calls(root)))


def test_letters_without_tls_stay_on_a_network_without_a_way_out(root: Path, compose: dict[str, Any]) -> None:
    catcher = compose["services"]["mail"]
    assert [compose["networks"][name].get("internal") for name in catcher["networks"]] == [True]
    port = MailServer.parse(caught((root / ".env.example").read_text())).port
    assert catcher["environment"]["MP_SMTP_BIND_ADDR"] == f"0.0.0.0:{port}"


def test_grafana_is_asked_for_its_metrics_where_it_answers(root: Path, compose: dict[str, Any]) -> None:
    """Below its path for browsers; from anywhere else it leads there by an address that is a browser's."""
    prometheus = yaml.safe_load((root / "deploy/observability/prometheus/prometheus.yml").read_text())
    (job,) = [job for job in prometheus["scrape_configs"] if job["job_name"] == "grafana"]
    told = compose["services"]["grafana"]["environment"]
    assert told["GF_SERVER_SERVE_FROM_SUB_PATH"] == "true"
    assert job["metrics_path"] == f"{urlsplit(told['GF_SERVER_ROOT_URL']).path}metrics"


def test_who_looks_at_grafana_may_follow_its_links(compose: dict[str, Any]) -> None:
    """They lead to Explore, which viewers do not see; and nobody signs in."""
    told = compose["services"]["grafana"]["environment"]
    assert (told["GF_AUTH_ANONYMOUS_ENABLED"], told["GF_AUTH_ANONYMOUS_ORG_ROLE"]) == ("true", "Editor")
