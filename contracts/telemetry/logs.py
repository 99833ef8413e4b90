"""Every line that services log of themselves, one JSON object each; libraries' own lines come beside them."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["info", "warning", "error", "exception", "critical"]


@dataclass(frozen=True, slots=True)
class Line:
    """A row. `fields` come beside time, level, logger, service, process, and trace_id and span_id inside a span."""

    event: str
    level: Level
    means: str
    fields: tuple[str, ...] = ()


ALL = (
    Line("ready", "info", "Start-up is over.", ("role", "metrics_port")),
    Line("stopping", "info", "It was told to stop: it finishes what it has in hand."),
    Line("kafka is not there yet", "warning", "Comes again by itself.", ("error", "retry_s")),
    Line(
        "kafka refuses this user: grant the right, or correct the password",
        "error",
        "Somebody has to: `error` names the topic or the group. It comes again by itself.",
        ("user", "error"),
    ),
    Line("the database is not ready", "warning", "At start-up, for a minute; then the process ends.", ("error",)),
    Line("a dependency is down", "warning", "Comes again by itself.", ("group", "work", "error", "retry_s")),
    Line("the database is down", "warning", "A request was answered with 503.", ("error",)),
    Line("request failed", "exception", "A bug: answered with 500. `trace_id` is in the problem too.", ("method",)),
    Line(
        "a background task ended: this process must be restarted",
        "critical",
        "A bug: not live any more, its orchestrator starts it again.",
        ("exc_info",),
    ),
    Line("relay comes again", "warning", "Facts wait in outboxes; nothing is lost.", ("error", "retry_s")),
    Line("outbox sweep waits for the database", "warning", "Comes again by itself.", ("error",)),
    Line("outboxes not measured", "warning", "The indicator stands still while this repeats.", ("error",)),
    Line("dead letters not counted", "warning", "The gauge stands still while this repeats.", ("error",)),
    Line("reaction failed", "warning", "A batch is tried again in halves.", ("group", "records", "offset", "exc_info")),
    Line(
        "a batch failed where none should",
        "error",
        "A bug of the chassis; tried again.",
        ("group", "retry_s", "exc_info"),
    ),
    Line("consumer stands still", "critical", "Runbook ConsumerStopped.", ("group", "trouble", "why")),
    Line("dead letter", "warning", "A record was set aside.", ("group", "code", "partition", "offset")),
    Line("letters wait", "warning", "Set-aside records are tried later.", ("group", "error")),
    Line("tick skipped", "warning", "Lag is measured and offsets committed a second later.", ("group", "error")),
    Line("batch abandoned on rebalance", "warning", "Another worker does it again.", ("group", "waited_s")),
    Line("abandoned batch ended", "warning", "What it came to counts for nothing.", ("group", "error")),
    Line("offsets not committed", "warning", "Read again after a restart; harmless.", ("group", "error")),
    Line("records were jumped over", "warning", "The consumer goes back to them.", ("group", "partition", "back_to")),
    Line(
        "partition begun anew",
        "warning",
        "Its topic was rebuilt, or it is asked to read again.",
        ("group", "partition", "epoch", "rewind"),
    ),
    Line("consumer did not stop cleanly", "warning", "Another takes over after the session's time-out.", ("error",)),
    Line("producer stops before all is sent", "warning", "The relay of another process sends it."),
    Line("producer did not close cleanly", "warning", "Harmless.", ("error",)),
    Line("keys of the issuer not fetched", "warning", "Tokens are judged by those kept.", ("error", "kept")),
    Line(
        "a key of the issuer cannot be read",
        "warning",
        "One of the issuer's keys is of no use to us.",
        ("kid", "error"),
    ),
    Line("endpoint given up", "warning", "A subscription was disabled, its owner is told.", ("subscription", "why")),
    Line("a lane was not served", "error", "A bug, or a lost key: operations.md.", ("exc_info",)),
    Line("a record cannot be read", "warning", "A live stream passes it by.", ("topic", "partition", "offset")),
    Line("topics were rebuilt", "warning", "Open streams are told `reset`.", ("epochs",)),
    Line("a stream's reader takes nothing", "info", "It is closed; its reader goes on from where it was."),
    Line("deliveries not measured", "warning", "The gauges stand still while this repeats.", ("error",)),
    Line("not measured", "warning", "The gauges stand still while this repeats.", ("error",)),
    Line("a child died", "error", "For want of memory, say: the caller was told to try again.", ("function",)),
    Line(
        "a paper could not be sealed",
        "warning",
        "Tried again in 20 s: operations.md.",
        ("commitment", "paper", "error"),
    ),
    Line(
        "no usable answer of a signing provider",
        "warning",
        "Runbook SigningUnknown where the provider is remote.",
        ("provider", "attempt", "why"),
    ),
    Line("a signature was not carried through", "error", "The turn's lease frees it, or asks a person.", ("exc_info",)),
    Line(
        "the eSign Client refuses this application: look at BSRE_USER and BSRE_PASSWORD",
        "error",
        "Nobody can sign by BSrE.",
        ("status",),
    ),
    Line(
        "the certificate chain of the eSign Client cannot be read",
        "warning",
        "Nobody whose chain that is can sign by BSrE; signers are asked to come again.",
    ),
)
