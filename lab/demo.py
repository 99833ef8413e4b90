"""The main job on real input: every region of the published results reports, and every score comes out as published.

The demo acts as clients do: HTTP with tokens, and a plain consumer on Kafka. It knows nothing that they do not.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from secrets import token_hex
from time import monotonic
from typing import Any

import httpx
import uvloop
from aiokafka import AIOKafkaConsumer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chassis.producer import client_options
from chassis.settings import Settings
from contracts import topics
from contracts.assessment import Stage
from contracts.roles import Role
from contracts.scoring import Score, ScoreRecalculated
from lab import audience, commitment, findings, official, publication, published, readers, region, system, waterfall
from lab.errors import LabError
from lab.findings import Pace, Standing
from lab.published import Published
from lab.region import Access, Visitor

FOLDER = "demo"
DIRECTORY = system.DIRECTORY / FOLDER
"""The demo's own: what somebody keeps in `.livinglab/` is never touched."""
CYCLE, INSTRUMENT = "spbe-2023", "spbe-2020"
WEST_JAVA, SUMEDANG, GARUT, BANDUNG = "32", "32.11", "32.05", "32.04"
FAKTA = "Rekonstruksi dari hasil yang diterbitkan KemenPANRB; bukan jawaban daerah."
AT_ONCE = 16
TIMEOUT_S = 30.0
KEEP_ALIVE_S = 2.0
SCORES_WITHIN_S = 120.0
READABLE_WITHIN_S = 30.0
POLL_S = 0.1

EDGES = (
    ("assessment", "POST */submission"),
    ("assessment", f"send {topics.ASSESSMENT.name}"),
    ("scoring", f"process {topics.ASSESSMENT.name}"),
    ("scoring", f"send {topics.SCORE.name}"),
    ("notify", f"process {topics.ASSESSMENT.name}"),
    ("notify", "POST webhook"),
    ("kemendagri", "POST /"),
)
"""What must be seen of one submission, as (service, pattern of the span's name)."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A score, and when it was read from Kafka, on the monotonic clock."""

    fact: ScoreRecalculated
    at: float


def start(*, keep: bool, report: system.Report) -> system.System:
    """Everything, on fresh data: an earlier demo that was kept is stopped and its data deleted. Raises LabError."""
    system.down(DIRECTORY, report=report)
    system.delete_data(DIRECTORY)
    return system.up(DIRECTORY, report=report, outlives_parent=keep)


def run(running: system.System, out: Console) -> None:
    """The regions report, and what came of it is shown. Raises LabError if any score is not as published."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(running, out))


async def _run(running: system.System, out: Console) -> None:
    results = published.read()
    trace_id = token_hex(16)
    async with (
        _access(running) as access,
        audience.gathered(running, access) as listeners,
        readers.gathered(running, access, region=SUMEDANG) as watching,
    ):
        *ministries, province = listeners
        province.go_down()
        sent, arrived = await _report_all(results, running, out, sumedang_trace=trace_id)
        await audience.forge(ministries[-1])
        await province.come_back()
        seen = [await one.until_heard_of([result.code for result in results]) for one in listeners]
        read = await watching.read(scores=sum(result.code.partition(".")[0] == readers.PROVINCE for result in results))
        heard = [audience.heard(one, of_one) for one, of_one in zip(listeners, seen, strict=True)]
    differing = differences(results, {name: score.fact for name, score in arrived.items()})
    findings.show_equality(out, len(results) - len(differing), len(results), differing)

    async with _access(running) as access:
        ministry = await access.sign_in("kemenpanrb", Role.SUPERVISOR)
        await _show_standings(access, ministry, out)
        summary, bands = await _summary(access, ministry, count=len(results))
        findings.show_nation(out, summary, bands)
        (of_sumedang,) = [result.levels for result in results if result.code == SUMEDANG]
        # Made: the first two indicators that can be found one lower.
        lower = [(number, level - 1) for number, level in of_sumedang.items() if level > 1]
        walked = await publication.walk(access, f"{CYCLE}:{SUMEDANG}", region=SUMEDANG, found=dict(lower[:2]))
        findings.show_publication(out, walked.steps, walked.score)
        acting = commitment.Acting(access, running.directory / "pki")
        with out.status("Sembilan menandatangani · nine sign"):
            signed = await commitment.sign(acting, running.directory / "documents")
        findings.show_signed(out, signed)
        await _show_official(access, out)
        with out.status("Tindak lanjut · follow-ups"):
            answered = await commitment.follow_up(acting, signed.commitment)
        findings.show_answer(out, answered)
        spans = await _trace(access.http, running, trace_id)
        findings.heading(
            out, "Satu jejak", "one trace: Sumedang's submission, from its HTTP request to a ministry's receiver"
        )
        out.print(waterfall.table(spans, width=out.width))
    findings.show_audience(out, heard)
    findings.show_readers(out, read)
    waits = [arrived[name].at - sent_at for name, sent_at in sent.items()]
    seconds = max(score.at for score in arrived.values()) - min(sent.values())
    findings.show_pace(out, Pace(len(sent) + len(arrived), seconds, waits, AT_ONCE))
    if differing:
        raise LabError(f"{len(differing)} of {len(results)} regions differ from what was published; see above")


@asynccontextmanager
async def _access(running: system.System) -> AsyncGenerator[Access]:
    # uvicorn closes what was idle for 5 s, as long as httpx keeps it: whoever sends just then loses the request.
    limits = httpx.Limits(keepalive_expiry=KEEP_ALIVE_S)
    async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits, trust_env=False) as http:
        yield Access(http, running.environment["OIDC_ISSUER"], running.services)


async def _report_all(
    results: Sequence[Published], running: system.System, out: Console, *, sumedang_trace: str
) -> tuple[Mapping[str, float], Mapping[str, Arrived]]:
    """All regions report, AT_ONCE at a time, while their scores are read. When each was sent, and the scores."""
    sent: dict[str, float] = {}
    arrived: dict[str, Arrived] = {}
    waiting = iter(results)

    async def report(told: Callable[[], None]) -> None:
        # Connections of its own: httpx looks through all of a pool's at every request.
        async with _access(running) as access:
            for result in waiting:
                traceparent = f"00-{sumedang_trace}-{token_hex(8)}-01" if result.code == SUMEDANG else None
                sent[result.code] = await region.report(
                    access, result.code, cycle=CYCLE, levels=result.levels, fakta=FAKTA, traceparent=traceparent
                )
                told()

    options = client_options(Settings(kafka_bootstrap_servers=running.environment["KAFKA_BOOTSTRAP_SERVERS"]))
    consumer = AIOKafkaConsumer(topics.SCORE.name, **options, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    with _counting(out, "Daerah mengirim · regions submit", "Skor tiba · scores arrive", of=len(results)) as told:
        one_sent, one_arrived = told
        listening = asyncio.create_task(_listen(consumer, {r.code for r in results}, arrived, told=one_arrived))
        try:
            async with asyncio.TaskGroup() as reports:
                for _ in range(AT_ONCE):
                    reports.create_task(report(one_sent))
            await asyncio.wait_for(listening, SCORES_WITHIN_S)
        except ExceptionGroup as refusals:  # the first; the others follow from the same cause
            raise refusals.exceptions[0] from None
        except TimeoutError as late:
            missing = [result.code for result in results if result.code not in arrived]
            raise LabError(
                f"{len(missing)} of {len(results)} scores did not arrive within {SCORES_WITHIN_S:.0f} s: "
                f"{', '.join(missing)}\nThe log of scoring may say why: {running.directory / 'scoring' / 'log'}"
            ) from late
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await consumer.stop()
    return sent, arrived


async def _listen(
    consumer: AIOKafkaConsumer, wanted: set[str], arrived: dict[str, Arrived], *, told: Callable[[], None]
) -> None:
    """Read scores until each wanted region has one."""
    while arrived.keys() < wanted:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                fact = ScoreRecalculated.model_validate_json(record.value or b"")
                if fact.cycle == CYCLE and fact.region in wanted and fact.region not in arrived:
                    arrived[fact.region] = Arrived(fact, monotonic())
                    told()


def differences(results: Sequence[Published], scores: Mapping[str, ScoreRecalculated]) -> dict[str, list[str]]:
    """Region → where its score on the basis self is not as published."""
    found: dict[str, list[str]] = {}
    for result in results:
        score = scores[result.code].scores.get(Stage.SELF)
        different = result.differences(score) if isinstance(score, Score) else ["it has no score"]
        if different:
            found[f"{result.code} {result.name}"] = different
    return found


async def _show_standings(access: Access, ministry: Visitor, out: Console) -> None:
    async def standings(kind: str, **scope: str) -> list[Standing]:
        asked = {"cycle": CYCLE, "kind": kind, **scope}
        page = (await ministry.send("GET", access.url("scoring", "standings"), params=asked)).json()
        return [Standing.of(kind, row) for row in page["items"]]

    findings.show_top(out, [row for kind in findings.KINDS for row in await standings(kind, limit="10")])
    of_west_java = [row for kind in findings.KINDS for row in await standings(kind, province=WEST_JAVA)]
    findings.show_province(out, of_west_java, highlighted=SUMEDANG)


async def _show_official(access: Access, out: Console) -> None:
    """What KemenPANRB decreed, imported; then read as anybody may read it, without a token."""
    ministry = await access.sign_in("kemenpanrb", Role.REVIEWER)
    imports = [await official.take_over(access, ministry, decreed) for decreed in official.DECREED]
    findings.show_imports(out, official.DECREED, imports)
    anybody = Visitor(access.http)

    async def ask(path: str, **asked: Any) -> Any:
        return (await anybody.send("GET", access.url("scoring", path), params=asked)).json()

    years: list[dict[str, Standing]] = []
    for decreed in official.DECREED:
        year: dict[str, Standing] = {}
        for kind in findings.KINDS:
            page = await ask("standings", basis="official", cycle=decreed.cycle, kind=kind, province=WEST_JAVA)
            year |= {row["region"]: Standing.of(kind, row) for row in page["items"]}
        years.append(year)
    findings.show_year_on_year(out, years[0], years[1], highlighted=SUMEDANG)
    newest = official.DECREED[-1].cycle
    findings.show_comparison(
        out, await ask("comparison", basis="official", cycle=newest, region=[SUMEDANG, GARUT, BANDUNG])
    )
    findings.show_disagreement(out, await ask(f"regions/{SUMEDANG}"))


async def _summary(access: Access, ministry: Visitor, *, count: int) -> tuple[Mapping[str, Any], list[str]]:
    """The national summary once it has all regions, and the predicates from the best down. Raises LabError."""
    instrument = (await ministry.send("GET", access.url("assessment", f"instruments/{INSTRUMENT}"))).json()
    deadline = monotonic() + READABLE_WITHIN_S
    while True:
        summary = (await ministry.send("GET", access.url("scoring", f"summaries/{CYCLE}"))).json()
        summarised = sum(part["count"] for part in summary["kinds"].values())
        if summarised == count:
            return summary, [band["predicate"] for band in instrument["bands"]]
        if monotonic() > deadline:
            raise LabError(f"The national summary has {summarised} of {count} regions after {READABLE_WITHIN_S:.0f} s")
        await asyncio.sleep(POLL_S)


async def _trace(http: httpx.AsyncClient, running: system.System, trace_id: str) -> list[waterfall.Span]:
    """The spans of a trace once all EDGES are there: services send them a second or so later. Raises LabError."""
    sink = f"{running.environment['OTEL_EXPORTER_OTLP_ENDPOINT']}/traces/{trace_id}"
    deadline = monotonic() + READABLE_WITHIN_S
    while True:
        answer = await http.get(sink)
        spans = [waterfall.Span.of(span) for span in answer.json()] if answer.is_success else []
        missing = waterfall.missing(spans, EDGES)
        if not missing:
            return spans
        if monotonic() > deadline:
            raise LabError(f"The trace {sink} lacks {'; '.join(missing)} after {READABLE_WITHIN_S:.0f} s")
        await asyncio.sleep(POLL_S)


@contextmanager
def _counting(out: Console, *titles: str, of: int) -> Generator[list[Callable[[], None]]]:
    """Progress bars, one per title; each function counts one more. In the log of a build, a line per quarter."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:

        def counter(title: str) -> Callable[[], None]:
            task, done = progress.add_task(title, total=of), 0

            def count() -> None:
                nonlocal done
                done += 1
                progress.update(task, completed=done)
                if not out.is_terminal and (done == of or done % (of // 4) == 0):
                    out.print(f"  {title}: {done} of {of}", highlight=False)

            return count

        yield [counter(title) for title in titles]
