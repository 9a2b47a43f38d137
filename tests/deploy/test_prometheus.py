# SPDX-License-Identifier: MIT
"""The alerts and the queries of the dashboard, in a real Prometheus that scrapes the service."""
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from conftest import CALLER
from fronts import CONTRIB, ROOT, start_service
from harness.proxies import Program, free_port
from harness.service import kept
from harness.waiting import eventually

FOLDER = CONTRIB / "prometheus"
RULES = (FOLDER / "port-checker.rules.yml").read_text()
ALERTS = re.findall(r"- alert: (\w+)", RULES)
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text())
QUERIES = {f"{panel['title']}: {target['refId']}": target["expr"]
           for panel in DASHBOARD["panels"] for target in panel["targets"]}
# These show only what there is: without faults and refusals, nothing.
MAY_BE_EMPTY = re.compile(r"local_faults_total|budget_denials_total")
# A front and a vantage point, whose server does not answer: it has the metrics of both.
PLACES = {"PORT_CHECKER_NATS_URL": "nats://127.0.0.1:1", "PORT_CHECKER_FRONT": "gw",
          "PORT_CHECKER_VANTAGE": "eu-1", "PORT_CHECKER_VANTAGES": "us-1"}


class Prometheus(Program):
    """Of Debian, with the file of contrib/, which is to scrape every second here."""

    def __init__(self, folder):
        for file in FOLDER.iterdir():
            shutil.copy(file, folder)
        config = folder / "prometheus.yml"
        text = config.read_text()
        assert text.count("_interval: 15s") == 2
        config.write_text(text.replace("_interval: 15s", "_interval: 1s"))
        address = ("127.0.0.1", free_port())
        super().__init__("prometheus", ["/usr/bin/prometheus", "--config.file", config,
                                        "--storage.tsdb.path", folder / "data",
                                        "--web.listen-address", "%s:%d" % address],
                         folder, address)

    def is_ready(self):
        try:
            urllib.request.urlopen("http://%s:%d/-/ready" % self.address).close()
        except urllib.error.HTTPError:
            return False
        return True

    def ask(self, path, **query):
        """`data` of the answer of Prometheus's API."""
        url = "http://%s:%d/api/v1/%s?" % (*self.address, path)
        with urllib.request.urlopen(url + urllib.parse.urlencode(query)) as reply:
            answer = json.load(reply)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, text):
        """The instant vector, as [(labels, value)]."""
        return [(found["metric"], float(found["value"][1]))
                for found in self.ask("query", query=text)["result"]]


@pytest.fixture(scope="module")
def prometheus(addresses, tmp_path_factory):
    with kept(start_service("nginx", PORT_CHECK_TIMEOUT="0.5", **PLACES)) as service:
        service.wait_ready()
        made = Prometheus(tmp_path_factory.mktemp("prometheus"))
        try:
            eventually(made.is_ready, "Prometheus is ready")
            eventually(lambda: made.query('up{job="port-checker"} == 1'), "it scrapes")
            service.check(["20000-20009"])
            assert service.check([9], CALLER).status == 403
            eventually(lambda: made.query('rate(port_checker_verdicts_total'
                                          '{state="closed"}[1m]) > 0'), "two scrapes")
            eventually(lambda: made.query('rate(port_checker_refusals_total[1m]) > 0'),
                       "the refusal was scraped")
            yield made
        finally:
            made.close()


def promtool(*words):
    ended = subprocess.run(["/usr/bin/promtool", *words], cwd=FOLDER, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def test_promtool_accepts_the_files():
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", "port-checker.rules.yml")
    promtool("check", "config", "prometheus.yml")


def test_every_alert_fires_when_it_should_and_not_before():
    text = (FOLDER / "port-checker.test.yml").read_text()
    for alert in ALERTS:
        assert f"      - alertname: {alert}\n" in text, "one case in which it fires"
        assert f"{{alertname: {alert}, eval_time: 110m, exp_alerts: []}}" in text, "good health"
    promtool("test", "rules", "port-checker.test.yml")


def test_every_alert_is_explained():
    page = (ROOT / "docs/operations.md").read_text()
    assert re.findall(r"^### (PortChecker\w+)$", page, re.MULTILINE) == ALERTS


def test_prometheus_evaluates_every_alert(prometheus):
    def rules():
        groups = prometheus.ask("rules")["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else None
    found = eventually(rules, "all rules were evaluated")
    assert [(rule["name"], rule["health"]) for rule in found] == [(name, "ok") for name in ALERTS]


def test_every_metric_in_the_alerts_and_the_dashboard_exists(prometheus):
    exist = set(prometheus.ask("label/__name__/values"))
    used = set(re.findall(r"\b(?:port_checker|process)_\w+", RULES + json.dumps(DASHBOARD)))
    assert len(used) > 15
    assert used - exist == set()


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_of_the_dashboard_finds_something(prometheus, name):
    text = QUERIES[name].replace("$__rate_interval", "1m").replace("$instance", ".*")
    assert "$" not in text
    if MAY_BE_EMPTY.search(text):  # then at least without the condition at its end
        text = text.removesuffix(" > 0")
    found = eventually(lambda: prometheus.query(text), "it finds something")
    for labels, value in found:
        assert value == value, f"{labels} is not a number"


def test_the_legends_name_labels_that_exist(prometheus):
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            text = target["expr"].removesuffix(" > 0")
            found = prometheus.query(text.replace("$__rate_interval", "1m")
                                     .replace("$instance", ".*"))
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert all(label in labels for labels, _ in found), (panel["title"], label)
