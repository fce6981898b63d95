"""The figures of `/metrics`, read at the moment they are asked for.

Rule: nothing is counted twice or kept up to date here; each figure has one
owner (the middleware, the server, the contexts, the locals) and is read from
it. Must not import the demonstration.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from greenlane.ops.meter import meter
from greenlane.ops.process import living_greenlets, native_threads, process_name

if TYPE_CHECKING:
    from greenlane.ops.middleware import Ops


class OpsCollector(Collector):
    """Makes the metric families for one `Ops`.

    Args:
        ops: whose requests, server and locals are reported.

    """

    def __init__(self, ops: "Ops") -> None:
        self._ops = ops

    def describe(self) -> list[Metric]:
        """Nothing in advance: the registry need not collect once to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read every figure once."""
        ops = self._ops
        yield InfoMetricFamily(
            "greenlane_process",
            "Whose figures these are: a name that no other process has.",
            {"process": process_name()},
        )
        yield CounterMetricFamily(
            "greenlane_requests", "Requests that reached the application.", ops.requests
        )
        yield GaugeMetricFamily(
            "greenlane_requests_in_flight",
            "Requests whose response is not closed yet, without /metrics, /healthz and /live.",
            ops.in_flight,
        )
        yield GaugeMetricFamily(
            "greenlane_requests_in_flight_peak", "The most requests in flight at once.", ops.peak_in_flight
        )
        yield CounterMetricFamily(
            "greenlane_connections_accepted", "Connections accepted.", ops.connections_accepted
        )
        yield GaugeMetricFamily("greenlane_connections_open", "Connections open now.", ops.connections)
        yield from self._contexts()
        entries = GaugeMetricFamily(
            "greenlane_local_entries", "Idents that have data in a local. Zero at idle.", labels=["local"]
        )
        for name, local in ops.locals.items():
            entries.add_metric([name], len(local.__storage__))
        yield entries
        yield GaugeMetricFamily(
            "greenlane_greenlets",
            "Greenlets alive: one for each connection, and what the application spawned.",
            living_greenlets(),
        )
        yield GaugeMetricFamily(
            "greenlane_native_threads",
            "Threads the operating system runs for this process.",
            native_threads(),
        )
        yield from self._measured()

    @staticmethod
    def _measured() -> Iterator[Metric]:
        """Without a sample until there is one: who asks for the first time begins the measuring."""
        measured = meter().ask()
        yield _known(
            "greenlane_loop_delay_seconds",
            "How late a timer of the event loop fired: the worst of the last second.",
            measured.loop_delay,
        )
        yield _known(
            "greenlane_greenlet_switches_per_second",
            "Switches of greenlets, counted in a slice of each second.",
            measured.switches_per_second,
        )

    def _contexts(self) -> Iterator[Metric]:
        counts = self._ops.counts
        pushed = CounterMetricFamily("greenlane_contexts_pushed", "Contexts pushed.", labels=["kind"])
        pushed.add_metric(["request"], counts.request_pushed)
        pushed.add_metric(["application"], counts.app_pushed)
        yield pushed
        popped = CounterMetricFamily(
            "greenlane_contexts_popped", "Contexts popped. At idle, as many as were pushed.", labels=["kind"]
        )
        popped.add_metric(["request"], counts.request_popped)
        popped.add_metric(["application"], counts.app_popped)
        yield popped


def _known(name: str, documentation: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, documentation)
    if value is not None:
        family.add_metric([], value)
    return family
