"""Every alert fires, stays silent and bears that nothing is there, in Prometheus' own judge; each has its runbook."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.observability.slos import SLOS
from tests.ops.tools import debian_tool, run

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "observability" / "prometheus"
FILES = (RULES / "slo.yml", RULES / "alerts.yml")
RUNBOOKS = ROOT / "docs" / "runbooks"
SERVICES = ("assessment", "commitment", "notify", "scoring")
SUBMISSION = 'method="POST",route="/assessment/v1/assessments/{assessment_id}/submission"'
ALL_UP = {f'up{{job="livinglab",service="{name}",role="api"}}': "1x1500" for name in SERVICES}
ALWAYS = frozenset({"Watchdog"})
WITHOUT_DATA = ALWAYS | {"ServiceMissing"}

Series = Mapping[str, str]
"""Series → values in promtool's notation, one a minute: `0+6x60` counts 6 more each minute for an hour."""


@dataclass(frozen=True, slots=True)
class Case:
    """At `at` minutes: what makes it fire, and what is as like it as can be and does not."""

    firing: Series
    silent: Series
    at: int = 60


def gauge(series: str, bad: float, good: float) -> Case:
    return Case({series: f"{bad}x120"}, {series: f"{good}x120"})


def attempts(channel: str, failed: str, delivered: str) -> Series:
    metric = "livinglab_delivery_attempts_total"
    return {
        f'{metric}{{channel="{channel}",outcome="failed"}}': failed,
        f'{metric}{{channel="{channel}",outcome="delivered"}}': delivered,
    }


def histogram(metric: str, labels: str, le: str, good: str, every: str) -> Series:
    return {f'{metric}_bucket{{{labels},le="{le}"}}': good, f"{metric}_count{{{labels}}}": every}


CASES: Mapping[str, Case] = {
    "ServiceDown": Case(
        {'up{job="livinglab",service="scoring",role="worker",instance="a"}': "0x120"},
        {
            'up{job="livinglab",service="scoring",role="worker",instance="a"}': "0x120",
            'up{job="livinglab",service="scoring",role="worker",instance="b"}': "1x120",
        },
    ),
    "ServiceMissing": Case({'up{job="livinglab",service="scoring",role="api"}': "1x120"}, {}),
    "LoopBlocked": gauge('livinglab_event_loop_lag_seconds{service="scoring",role="api"}', 0.4, 0.05),
    "OutboxOld": gauge('livinglab_outbox_oldest_seconds{service="assessment"}', 45, 5),
    "ConsumerLags": gauge('livinglab_consumer_lag_seconds{service="scoring",group="scoring.assessment"}', 90, 20),
    "ConsumerStopped": gauge(
        'livinglab_consumer_stopped{service="scoring",group="scoring.assessment",reason="bug"}', 1, 0
    ),
    "DeadLetters": gauge('livinglab_dead_letters_open{service="scoring"}', 1, 0),
    "DeliveriesWait": gauge("livinglab_deliveries_waiting_seconds", 60, 2),
    "WebhooksFail": Case(attempts("webhook", "0+60x120", "0+6x120"), attempts("webhook", "0+6x120", "0+60x120")),
    "MailFails": Case(attempts("email", "0+6x120", "0+1x120"), attempts("email", "0+1x120", "0+6x120")),
    "SigningUnknown": Case(
        {'livinglab_signing_seconds_count{provider="bsre",outcome="unknown"}': "0x50 1x70"},
        {'livinglab_signing_seconds_count{provider="bsre",outcome="signed"}': "0x50 1x70"},
    ),
    "CheckpointOverdue": gauge("livinglab_audit_checkpoint_overdue_seconds", 1_200, 10),
    "SpansLost": Case(  # the collector itself is well: it is not reached
        {
            'livinglab_spans_total{service="scoring",outcome="refused"}': "0+60x120",
            "otelcol_exporter_send_failed_spans_total": "5x120",
        },
        {
            'livinglab_spans_total{service="scoring",outcome="exported"}': "0+60x120",
            "otelcol_exporter_send_failed_spans_total": "5x120",
        },
    ),
    "SubmissionsFail": Case(
        {
            f'livinglab_http_requests_total{{{SUBMISSION},status="200"}}': "0+60x1500",
            f'livinglab_http_requests_total{{{SUBMISSION},status="503"}}': "0+6x1500",
        },
        {
            f'livinglab_http_requests_total{{{SUBMISSION},status="200"}}': "0+60x1500",
            f'livinglab_http_requests_total{{{SUBMISSION},status="422"}}': "0+60x1500",
        },
        at=1_450,
    ),
    "SubmissionsSlow": Case(
        histogram("livinglab_http_request_seconds", SUBMISSION, "0.5", "0+30x1500", "0+60x1500"),
        histogram("livinglab_http_request_seconds", SUBMISSION, "0.5", "0+60x1500", "0+60x1500"),
        at=1_450,
    ),
    "EventsLate": Case(
        histogram("livinglab_event_age_seconds", 'hop="webhook",type="t"', "5.0", "0+6x1500", "0+60x1500"),
        histogram("livinglab_event_age_seconds", 'hop="handled",type="t"', "5.0", "0+6x1500", "0+60x1500"),
        at=1_450,
    ),
    "DeliveriesExhausted": Case(
        {
            'livinglab_deliveries_total{channel="webhook",outcome="first"}': "0+60x1500",
            'livinglab_deliveries_total{channel="webhook",outcome="exhausted"}': "0+6x1500",
        },
        {
            'livinglab_deliveries_total{channel="webhook",outcome="first"}': "0+60x1500",
            'livinglab_deliveries_total{channel="webhook",outcome="withheld"}': "0+60x1500",
        },
        at=1_450,
    ),
    "OutboxesLate": Case(
        {'livinglab_outbox_oldest_seconds{service="assessment"}': "20x1500"},
        {'livinglab_outbox_oldest_seconds{service="assessment"}': "1x1500"},
        at=1_450,
    ),
}


@pytest.fixture(scope="module")
def promtool() -> Path:
    return debian_tool("promtool", "prometheus")


def defined() -> Sequence[Mapping[str, Any]]:
    groups = [group for file in FILES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def judged(promtool: Path, folder: Path, series: Series, expected: Mapping[str, int], *, at: int) -> None:
    """promtool agrees that exactly these alerts fire then, on this input; counted over their severities."""
    names = sorted({rule["alert"] for rule in defined()})
    test = {
        "rule_files": [str(file) for file in FILES],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count(count by (alertname) (ALERTS{{alertname="{name}",alertstate="firing"}}))',
                        "eval_time": f"{at}m",
                        "exp_samples": [{"labels": "{}", "value": 1}] if name in expected else [],
                    }
                    for name in names
                ],
            }
        ],
    }
    file = folder / "test.yml"
    file.write_text(yaml.safe_dump(test))
    done = run([promtool, "test", "rules", file])
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_and_alertmanager_take_their_configuration(promtool: Path) -> None:
    amtool = debian_tool("amtool", "prometheus-alertmanager")
    for command in (
        [promtool, "check", "config", RULES / "prometheus.yml"],
        [amtool, "check-config", RULES.parent / "alertmanager.yml"],
    ):
        done = run(command)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=OutboxOld severity=page service=scoring", "pages"),
        ("alertname=DeadLetters severity=ticket service=scoring", "tickets"),
        ("alertname=Watchdog severity=none", "pages"),
    ],
)
def test_an_alert_finds_its_receiver(labels: str, receiver: str) -> None:
    amtool = debian_tool("amtool", "prometheus-alertmanager")
    file = RULES.parent / "alertmanager.yml"
    done = run([amtool, "config", "routes", "test", f"--config.file={file}", *labels.split()])
    assert (done.returncode, done.stdout.strip()) == (0, receiver), done.stderr


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_and_no_other_does(promtool: Path, tmp_path: Path, alert: str) -> None:
    case = CASES[alert]
    there = {} if alert == "ServiceMissing" else ALL_UP
    also = {"OutboxesLate": {"OutboxesLate"}, "OutboxOld": {"OutboxOld", "OutboxesLate"}}.get(alert, {alert})
    judged(promtool, tmp_path, {**there, **case.firing}, dict.fromkeys(ALWAYS | also, 1), at=case.at)


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_stays_silent_on_what_is_like_it(promtool: Path, tmp_path: Path, alert: str) -> None:
    case = CASES[alert]
    judged(promtool, tmp_path, {**ALL_UP, **case.silent}, dict.fromkeys(ALWAYS, 1), at=case.at)


@pytest.mark.parametrize(("failures", "fires"), [("1x30", set[str]()), ("1+1x30", {"SubmissionsFail"})])
def test_one_failure_in_a_quiet_night_wakes_nobody_and_some_do(
    promtool: Path, tmp_path: Path, failures: str, fires: set[str]
) -> None:
    requests = f"livinglab_http_requests_total{{{SUBMISSION}"
    told = {f'{requests},status="200"}}': "3x1420 4x30", f'{requests},status="503"}}': f"0x1420 {failures}"}
    judged(promtool, tmp_path, {**ALL_UP, **told}, dict.fromkeys(ALWAYS | fires, 1), at=1_440)


def test_without_data_only_those_fire_that_say_so(promtool: Path, tmp_path: Path) -> None:
    judged(promtool, tmp_path, {}, dict.fromkeys(WITHOUT_DATA, 1), at=60)


def test_every_alert_is_tried_has_a_severity_both_languages_and_a_runbook() -> None:
    alerts = defined()
    assert {rule["alert"] for rule in alerts} == CASES.keys() | ALWAYS
    assert {slo.alert for slo in SLOS} <= CASES.keys()
    for rule in alerts:
        assert rule["labels"]["severity"] in {"page", "ticket", "none"}
        assert {"summary", "summary_id", "runbook"} <= rule["annotations"].keys()
        assert rule["annotations"]["runbook"] == f"docs/runbooks/{rule['alert']}.md"


def test_runbooks_and_alerts_are_the_same() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {rule["alert"] for rule in defined()}
    for path in RUNBOOKS.glob("*.md"):
        told = path.read_text()
        assert told.startswith(f"# {path.stem}\n")
        assert all(part in told for part in ("**What it means.**", "**Look.**", "**Do.**", "**Over when**")), path


def test_queries_of_runbooks_are_promql(promtool: Path, tmp_path: Path) -> None:
    queries = [
        query
        for path in sorted(RUNBOOKS.glob("*.md"))
        for block in path.read_text().split("```promql\n")[1:]
        for query in block.split("```")[0].strip().splitlines()
    ]
    rules = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = run([promtool, "check", "rules", file])
    assert done.returncode == 0, done.stdout + done.stderr
    assert queries
