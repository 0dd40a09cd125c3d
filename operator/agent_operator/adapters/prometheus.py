"""Counters of agent pods: `ports.MetricsSource` over Prometheus' instant queries.

One query per counter for many agents; whole numbers or nothing. A sample that no counter can
have takes its revision out of the result, an answer that is broken takes all of it.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException

from agent_operator.adapters.prometheus_http import prometheus_client
from agent_operator.adapters.promql import Aggregation, LastOver, OneOf, SampleTime, Series
from agent_operator.adapters.readings import Counter, Sample, readings_of
from agent_operator.adapters.threads import Threads
from agent_operator.domain.manifest import ObjectKey
from agent_operator.domain.verdict.readings import Reading
from agent_operator.errors import MetricsUnavailable
from agent_operator.settings import Settings

AGENTS_PER_QUERY = 100
CONCURRENT_QUERIES = 4
SERIES_LIMIT = 50_000

_POD = ("namespace", "agent", "revision", "pod")
_COUNTED = (*_POD, "signal", "outcome", "segment")
# Two scrape jobs, or two replicas of Prometheus, see one and the same counter.
_SCRAPING = ("job", "instance", "endpoint", "container", "prometheus", "prometheus_replica")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*([eE][-+]?\d+)?|Inf)|NaN")


def counter_query(counter: Counter, agents: Sequence[ObjectKey], window_seconds: float) -> str:
    """Return the query for the values of one counter, each at most a window old."""
    values = LastOver(_series(counter, agents), window_seconds)
    return str(Aggregation("sum", "by", _COUNTED, Aggregation("max", "without", _SCRAPING, values)))


def sample_time_query(agents: Sequence[ObjectKey]) -> str:
    """Return the query for when each pod was last scraped."""
    return str(
        Aggregation("min", "by", _POD, SampleTime(_series(Counter.SESSIONS_STARTED, agents)))
    )


def _series(counter: Counter, agents: Sequence[ObjectKey]) -> Series:
    namespaces = sorted({key.namespace for key in agents})
    names = sorted({key.name for key in agents})
    return Series(counter.value, (OneOf("namespace", namespaces), OneOf("agent", names)))


class Prometheus:
    """Reads counters from anything that answers Prometheus' query API."""

    def __init__(self, client: PrometheusConnect, *, timeout_seconds: float) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._chunks = asyncio.Semaphore(CONCURRENT_QUERIES)
        self._threads = Threads(CONCURRENT_QUERIES)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the source that the settings name."""
        client = prometheus_client(settings)
        return cls(client, timeout_seconds=settings.prometheus_timeout_seconds)

    async def readings(
        self, agents: Sequence[ObjectKey], *, at: float, window_seconds: float
    ) -> Mapping[tuple[ObjectKey, str], Reading]:
        """Return one reading per (agent, revision) that has all contract series.

        `at`: Unix seconds; `window_seconds`: samples older than that are stale and left out.
        Raises MetricsUnavailable when the answer cannot be trusted as a whole.
        """
        moment = _Moment(at, window_seconds)
        unique = list(dict.fromkeys(agents))
        chunks = [
            unique[start : start + AGENTS_PER_QUERY]
            for start in range(0, len(unique), AGENTS_PER_QUERY)
        ]
        failure: MetricsUnavailable | None = None
        try:
            async with asyncio.TaskGroup() as group:
                parts = [group.create_task(self._chunk(chunk, moment)) for chunk in chunks]
        except* MetricsUnavailable as failures:
            failure = _first(failures)  # raised in here it would be a group, before Python 3.11.4
        if failure is not None:
            raise failure
        return {track: reading for part in parts for track, reading in part.result().items()}

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    async def _chunk(
        self, agents: Sequence[ObjectKey], moment: "_Moment"
    ) -> Mapping[tuple[ObjectKey, str], Reading]:
        async with self._chunks:  # one query after the other: a failing Prometheus gets one
            values = {
                counter: await self._query(
                    counter_query(counter, agents, moment.window_seconds), moment.at
                )
                for counter in Counter
            }
            times = await self._query(sample_time_query(agents), moment.at)
        return readings_of(
            values,
            times,
            agents=frozenset(agents),
            at=moment.at,
            window_seconds=moment.window_seconds,
        )

    async def _query(self, query: str, at: float) -> list[Sample]:
        try:
            result = await self._threads.call(
                self._client.custom_query,
                query,
                {"time": f"{at:.3f}", "timeout": f"{self._timeout_seconds:g}s"},
                seconds=self._timeout_seconds + 1.0,  # the transport's own limit comes first
            )
        except TimeoutError:
            raise MetricsUnavailable("TimedOut", "Prometheus did not answer in time") from None
        except PrometheusApiClientException:  # its message quotes the answer, which may be anything
            raise MetricsUnavailable("ServerError", "Prometheus refused the query") from None
        return samples_of(result, at=at)


@dataclass(frozen=True, slots=True)
class _Moment:
    at: float
    window_seconds: float


def _first(failures: BaseExceptionGroup[MetricsUnavailable]) -> MetricsUnavailable:
    one = failures.exceptions[0]
    return one if isinstance(one, MetricsUnavailable) else _first(one)


def samples_of(result: Any, *, at: float) -> list[Sample]:
    """Return the samples of an instant vector taken at `at`; raise MetricsUnavailable."""
    if len(result) > SERIES_LIMIT:
        message = f"Prometheus answered with more than {SERIES_LIMIT} series"
        raise MetricsUnavailable("TooManySeries", message)
    samples = [_sample(item, at) for item in result]
    if len({frozenset(sample.labels.items()) for sample in samples}) < len(samples):
        raise MetricsUnavailable("DuplicateSeries", "Prometheus answered with a series twice")
    return samples


def _sample(item: Any, at: float) -> Sample:
    match item:
        case {"metric": dict() as labels, "value": [int() | float() as time, str() as text]}:
            is_labelled = all(isinstance(value, str) for value in labels.values())
            if is_labelled and abs(time - at) <= 1.0 and _NUMBER.fullmatch(text):
                return Sample(labels, float(text))
    message = "the answer of Prometheus holds something that is no sample of the asked time"
    raise MetricsUnavailable("UnexpectedResult", message)
