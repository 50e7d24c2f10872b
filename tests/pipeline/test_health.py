"""The audit's own metrics, as an application's MeterProvider collects them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .otlp_server import OtlpServer, Reply
from .telling import run

COLLECT = """
    import json
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry_instrumentation_authaudit import guard

    reader = InMemoryMetricReader()

    def collected():
        found = {}
        for resource in reader.get_metrics_data().resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        value = getattr(point, "value", None)
                        name = " ".join([metric.name, *map(str, point.attributes.values())])
                        found[name] = [metric.unit, point.count if value is None else value]
        return found
"""


def test_what_is_counted(tmp_path: Path) -> None:
    """Kept, delivered, waiting, refused requests, swallowed exceptions: also where the provider is set later than we began."""
    with OtlpServer("http") as server:
        opened = tmp_path / "opened"  # the process says when: nothing is delivered before it has counted
        server.answer = lambda asked: Reply(200 if opened.exists() else 503)
        told: list[dict[str, Any]] = json.loads(
            run(
                COLLECT
                + """
    sink = pipeline(Path(sys.argv[1]), exporter="otlp", otlp_protocol="http/protobuf")
    sink(SIGN_IN)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    for _ in range(4):
        sink(SIGN_IN)
    with guard.guard("tests.site"):
        raise ValueError
    sink.force_flush(1)
    before = collected()
    Path(sys.argv[1], "opened").touch()
    while not sink.force_flush(5):
        pass
    print(json.dumps([before, collected()]))
    sink.shutdown()
    """,
                tmp_path,
                environ=server.environment,
            )
        )
    before, after = told
    assert before["audit.records.emitted"] == ["{record}", 5]
    assert before["audit.queue.depth"] == ["{record}", 6]  # with audit.start
    assert before["audit.guard.errors tests.site"] == ["{error}", 1]
    assert after["audit.queue.depth"] == ["{record}", 0]
    assert after["audit.records.exported"] == ["{record}", 6]
    assert after["audit.records.dropped"] == ["{record}", 0]
    assert before["audit.export.duration retry"][1] >= 1
    assert after["audit.export.duration accepted"][1] >= 1


def test_child_counts_for_itself(tmp_path: Path) -> None:
    """What the parent counted is not counted again after a fork."""
    told = run(
        COLLECT
        + """
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    sink = pipeline(Path(sys.argv[1]))
    sink(SIGN_IN)
    sink(SIGN_IN)
    out, into = os.pipe()
    if not os.fork():
        sink(SIGN_IN)
        os.write(into, json.dumps(collected()["audit.records.emitted"]).encode())
        os._exit(0)
    os.wait()
    print(json.dumps([json.loads(os.read(out, 1000)), collected()["audit.records.emitted"]]))
    sink.shutdown()
    """,
        tmp_path,
    )
    assert json.loads(told) == [["{record}", 1], ["{record}", 2]]


def test_without_a_provider_nothing_happens(tmp_path: Path) -> None:
    """The API's own, which does nothing."""
    assert run("sink = pipeline(Path(sys.argv[1]))\nprint(bool(sink(SIGN_IN)), sink.shutdown())", tmp_path) == "True True"
