"""The text format of Prometheus for the answer of `metrics`, on a command line or over HTTP.

Needs the extra `metrics` (prometheus-client); nothing else in `bus` does.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

from bus.protocol.control import Labels, Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def exposition(answers: Iterable[tuple[Labels, list[Metric]]]) -> str:
    """Return the metrics of several processes as one page; the labels of each distinguish the processes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(list(answers)))
    return generate_latest(registry).decode()


class _Collector:
    """Passes on metrics that were measured elsewhere."""

    def __init__(self, answers: list[tuple[Labels, list[Metric]]]) -> None:
        self._answers = answers

    def collect(self) -> Iterator[Family]:
        families: dict[str, Family] = {}
        for own, metrics in self._answers:
            for metric in metrics:
                if metric.name not in families:
                    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
                    families[metric.name] = kind(metric.name, metric.help)
                for sample in metric.samples:
                    families[metric.name].add_sample(metric.name, {**own, **sample.labels}, sample.value)
        yield from families.values()
