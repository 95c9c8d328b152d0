"""What ``deploy/`` holds is well-formed, by the tools that need no server, and speaks of metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "venuegate.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
# What Prometheus itself adds.
PROMETHEUS_OWN = {"up"}
_METRIC = re.compile(r"\b(venuegate_\w+|process_\w+|up)\b")


def passes(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def installed(name: str) -> Path:
    return Path(sys.executable).parent / name


def manifest(name: str) -> Any:
    return yaml.safe_load((DEPLOY / "kubernetes" / f"{name}.yaml").read_text())


def exposed() -> set[str]:
    """The names that a gateway's metrics have, with what Prometheus makes of a histogram."""
    metrics = Metrics()
    metrics.request("getBalance", "OK", 0.1)
    metrics.orders.labels("paper", "FILLED").inc()
    metrics.orphans.labels("paper").inc()
    text = metrics.exposition().decode()
    return set(re.findall(r"^([a-z_]+)", text, re.MULTILINE)) | PROMETHEUS_OWN


def named(expressions: list[str]) -> set[str]:
    return {name for expression in expressions for name in _METRIC.findall(re.sub(r'"[^"]*"', '""', expression))}


def test_the_compose_file_keeps_to_the_compose_specification() -> None:
    passes(installed("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_every_manifest_is_strictly_valid_for_kubernetes() -> None:
    passes(installed("kubernetes-validate"), "--strict", "--quiet", *MANIFESTS)


def test_kustomize_lists_every_manifest() -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in MANIFESTS]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_builds_the_manifests() -> None:
    passes("kubectl", "kustomize", DEPLOY / "kubernetes")


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    text = (DEPLOY / "nginx.conf").read_text().replace("server gateway:8080", "server 127.0.0.1:8080")
    text = text.replace("/run/nginx.pid", str(tmp_path / "nginx.pid"))
    (tmp_path / "nginx.conf").write_text(text)
    passes("nginx", "-t", "-c", tmp_path / "nginx.conf")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_configuration_and_alerts() -> None:
    passes("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")


def test_a_proxy_never_sends_a_request_a_second_time() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    assert text.count("proxy_pass") == text.count("proxy_next_upstream off;")


@pytest.mark.parametrize("name", ["deployment", "migrate"])
def test_containers_run_without_root_on_a_read_only_file_system(name: str) -> None:
    pod = manifest(name)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_a_pod_has_longer_to_stop_than_orders_under_way_need() -> None:
    from gateway.app import DRAIN_S

    pod = manifest("deployment")["spec"]["template"]["spec"]
    waits = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > waits + DRAIN_S
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert int(compose["services"]["gateway"]["stop_grace_period"].removesuffix("s")) > DRAIN_S


def test_the_dashboard_shows_only_metrics_that_exist() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(expressions) > 15
    assert named(expressions) <= exposed()


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_alerts_watch_only_metrics_that_exist_and_say_what_to_do() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    assert named([rule["expr"] for rule in rules]) <= exposed()
    assert all(rule["annotations"]["action"] for rule in rules)


def test_the_autoscaler_goes_by_a_metric_that_exists() -> None:
    metrics = manifest("autoscaler")["spec"]["metrics"]
    assert {metric["pods"]["metric"]["name"] for metric in metrics if metric["type"] == "Pods"} <= exposed()
