# SPDX-License-Identifier: MIT
"""GET /metrics, read by the parser of Prometheus' own Python client."""
import collections
import pathlib
import re
import subprocess
import time

from prometheus_client.parser import text_string_to_metric_families

from harness.http import check_body
from harness.service import BUILD_DIR
from harness.waiting import PATIENCE, eventually

JSON = ("Content-Type", "application/json")
PREFIX = "port_checker_"
ROOT = pathlib.Path(__file__).resolve().parents[2]


def families(service):
    reply = service.get("/metrics")
    assert reply.status == 200, reply
    return list(text_string_to_metric_families(reply.body.decode()))


def busy(service, open_port):
    """One of every kind, so that every family has a value."""
    service.check([open_port(), 9])
    service.check([9], "0.0.0.0")
    service.post(b"{")
    service.get("/nowhere")


class Difference:
    """How much series have grown since this object was created."""

    def __init__(self, service):
        self.service, self.before = service, service.metrics()

    def of(self, name, *labels):
        key = (PREFIX + name, *labels) if labels else PREFIX + name
        return self.service.metrics().get(key, 0) - self.before.get(key, 0)


# --- form ---------------------------------------------------------------------------------


def test_the_content_type_names_the_format(shared):
    reply = shared.get("/metrics")

    assert reply.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.body.endswith(b"\n")


def test_help_and_type_come_once_and_before_their_samples(shared, open_port):
    busy(shared, open_port)
    seen = collections.Counter()
    described = []
    for line in shared.get("/metrics").body.decode().splitlines():
        if line.startswith("# "):
            _, kind, name, text = line.split(" ", 3)
            seen[kind, name] += 1
            assert text
            if kind == "TYPE":
                described.append(name)
            else:
                assert kind == "HELP" and text.endswith("."), line
        else:
            name = re.match(r"\w+", line).group()
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert described[-1] in (name, base), f"{line} stands below {described[-1]}"
    assert set(seen.values()) == {1}
    assert {name for kind, name in seen if kind == "HELP"} == set(described)


def test_the_document_has_the_table():
    """After a change of the metrics, put this into docs/metrics.md: build/metrics_doc"""
    done = subprocess.run([BUILD_DIR / "metrics_doc"], capture_output=True, text=True, check=True,
                          timeout=10 * PATIENCE)
    assert (ROOT / "docs/metrics.md").read_text().endswith("-->\n\n" + done.stdout)


def test_the_document_tells_what_is_shown(shared, open_port):
    """Names, types and help texts of all families in order, and all their labels."""
    busy(shared, open_port)
    told = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$",
                      (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    shown = {}
    for line in shared.get("/metrics").body.decode().splitlines():
        comment = re.fullmatch(r"# (HELP|TYPE) (\w+) (.*)", line)
        if comment:
            shown.setdefault(comment[2], {})[comment[1]] = comment[3]

    assert [(name, kind, help_) for name, kind, _, help_ in told] == [
        (name, said["TYPE"], said["HELP"]) for name, said in shown.items()]
    labels_told = {name: labels for name, _, labels, _ in told}
    for family in families(shared):
        for sample in family.samples:
            labels = labels_told[family.name if family.name in labels_told else sample.name]
            for label, value in sample.labels.items():
                assert f"`{label}`" in labels, sample
                is_open = label in ("le", "status", "version")
                assert is_open or f" `{value}`" in labels, sample


def test_no_series_comes_twice(shared, open_port):
    busy(shared, open_port)
    series = collections.Counter(
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in families(shared) for sample in family.samples)

    assert [one for one, count in series.items() if count > 1] == []


def test_names_follow_the_conventions(shared):
    for family in families(shared):
        assert re.fullmatch(r"(port_checker|process)_[a-z_]+", family.name)
        assert family.type in ("counter", "gauge", "histogram"), family
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name.endswith("_total"), sample
                assert sample.value >= 0
            else:
                assert not sample.name.endswith("_total"), sample
            for label in sample.labels:
                assert re.fullmatch(r"[a-z_]+", label)
    names = " ".join(family.name for family in families(shared))
    assert not re.search(r"_(ms|milliseconds|kb|mb)\b", names), "seconds and bytes"


def test_the_version_and_the_process_are_there(shared):
    version = shared.get("/health").header("Server").split("/")[1]
    with shared.connect() as connection:
        def tells_its_descriptors():
            metrics = shared.metrics(connection)
            return metrics if metrics["process_open_fds"] == shared.descriptors() else None
        metrics = eventually(tells_its_descriptors, "others have left, and the number is right")

    assert metrics[PREFIX + "build_info", version] == 1
    assert metrics[PREFIX + "workers"] == 2
    assert metrics["process_resident_memory_bytes"] > 1 << 20
    assert metrics["process_cpu_seconds_total"] >= 0
    assert abs(metrics["process_start_time_seconds"] - time.time()) < 3600
    assert metrics["process_max_fds"] >= metrics["process_open_fds"]


def test_the_histogram_is_cumulative(shared, open_port):
    busy(shared, open_port)
    family, = [one for one in families(shared) if one.name == PREFIX + "verdict_seconds"]
    buckets = [(float(sample.labels["le"]), sample.value) for sample in family.samples
               if sample.name.endswith("_bucket")]
    count, = [sample.value for sample in family.samples if sample.name.endswith("_count")]

    assert buckets == sorted(buckets)
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    assert buckets[-1] == (float("inf"), count)


# --- content ------------------------------------------------------------------------------


def test_requests_are_counted_by_route_and_status(start):
    service = start()
    grown = Difference(service)
    for _ in range(3):
        service.get("/health")
    service.exchange("HEAD", "/health")
    service.exchange("PUT", "/health")
    service.get("/ip/")
    service.get("/nowhere")
    service.get("/another")
    service.check([9])
    service.get("/check-ports?ports=9")
    service.get("/check-ports")
    service.post(b"{")
    service.check([9], "0.0.0.0")
    service.post(b" " * 70000)

    for route, status, count in (
            ("/health", "200", 4), ("/health", "405", 1), ("/ip", "200", 1),
            ("other", "404", 2), ("/check-ports", "200", 2), ("/check-ports", "422", 1),
            ("/check-ports", "405", 1),
            ("/check-ports", "403", 1), ("/check-ports", "413", 1)):
        eventually(lambda: grown.of("http_requests_total", route, status) == count,
                   f"{count} x {route} {status}")


def test_verdicts_are_counted_by_state_and_time(start, open_port, silent_ports):
    service = start(PORT_CHECK_TIMEOUT=5)
    grown = Difference(service)
    service.check([open_port(), open_port(), 9, *silent_ports(3)])

    assert [grown.of("verdicts_total", state) for state in
            ("open", "closed", "filtered", "unreachable", "limited")] == [2, 1, 3, 0, 0]
    attempts = grown.of("probe_attempts_total")
    assert 7 <= attempts <= 2 + 4 + 3 * 4, "a port that does not open may be tried four times"
    assert grown.of("verdict_seconds_count") == 6
    assert 3 <= grown.of("verdict_seconds_sum") < 6 * 5
    assert grown.of("verdict_seconds_bucket", "1") == 3, "silence takes longer than that"


def test_refusals_are_counted_by_reason(start, own_network):
    service = start(PORT_CHECKER_TARGETS="public", PORT_CHECKER_TRUSTED_PROXIES="127.0.0.3")
    grown = Difference(service)
    service.check([9], "224.0.0.1")
    service.check([9], "10.0.0.1")
    service.check([9], "11.0.0.1")
    service.check([9], "11.0.0.1", source="127.0.0.3", headers=[("X-Forwarded-For", "x")])
    service.get("/ip", [("Via", "1.1 proxy")])
    service.get("/metrics", [("X-Forwarded-For", "11.0.0.1")], source="127.0.0.3")

    for reason, count in (("never_allowed", 1), ("not_public", 1), ("no_route", 1),
                          ("bad_forwarded_for", 1), ("caller_unknown", 1),
                          ("metrics_not_allowed", 1)):
        assert grown.of("refusals_total", reason) == count, reason


def test_not_own_address_is_counted(start):
    service = start(PORT_CHECKER_TARGETS="caller")
    service.check([9], "127.0.0.2")

    assert service.metric("refusals_total", "not_own_address") == 1


def test_budget_denials_are_counted_by_scope(start):
    service = start(PORT_CHECKER_TARGETS="any", PORT_CHECKER_RATE="1/h",
                    PORT_CHECKER_MAX_PORTS=2)
    owner = "127.0.0.99"
    for source in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
        service.check([1, 2], owner, source=source)

    assert service.metric("budget_denials_total", "caller") == 1
    assert service.metric("budget_denials_total", "target") == 1
    assert service.metric("budget_entries") == 2, "127.0.0.1 and the target"


def test_what_runs_now_is_shown(start, silent_ports):
    service = start(PORT_CHECK_TIMEOUT=20)
    ports = silent_ports(30)
    with service.connect() as one, service.connect() as two:
        for connection in (one, two):
            connection.request("POST", "/check-ports", [JSON], check_body(ports))
        eventually(lambda: service.metric("probes_in_flight") >= 60, "60 probes in flight")
        assert service.metric("checks_running") == 2
        eventually(lambda: service.metric("http_connections_open") == 3, "these and ours")
    eventually(lambda: service.metric("checks_running") == 0, "both are cancelled")
    eventually(lambda: service.metric("http_connections_open") == 1, "only the asking one")
    assert service.metric("probes_in_flight") == 0
    assert service.metric("checks_abandoned_total") == 2
    assert service.metric("probes_max") > 60


def test_local_faults_are_counted_by_errno_and_ports_wait(start, own_network):
    service = start(PORT_CHECKER_TARGETS="any")
    service.check([1], "203.0.113.1")

    assert service.metric("local_faults_total", "ENETUNREACH") == 1
    assert service.metric("ports_deferred") == 0


def test_refused_connections_are_counted(start):
    service = start(PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER=2)
    there = "127.0.0.2"
    with service.connect(source=there) as one, service.connect(source=there) as two:
        for connection in (one, two):
            assert connection.exchange("GET", "/health").status == 200
        assert service.get("/health", source=there).status == 429
        assert service.metric("http_connections_refused_total", "caller") == 1


def test_all_workers_are_added_up(start, open_port):
    service, port = start(PORT_CHECKER_WORKERS=4), open_port()
    for _ in range(40):
        service.check([port])

    for _ in range(8):
        assert service.metric("verdicts_total", "open") == 40
