"""The Helm chart: what it renders is valid, and says the same as the files it is made from."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from andon_monitor.kafka.topics import COMPACTED, RETENTION_MS, STATE_CONFIGS, plan
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.settings.loading import load_settings

from tests.fixtures.deploy import DEPLOY, check_rights, run

CHART = DEPLOY / "helm" / "andon"
HELM = Path(sys.executable).parent / "helm"
# Kinds of operators, whose schemas are not at hand without a cluster.
OF_OPERATORS = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "KafkaTopic", "KafkaUser"}
BUSY = {
    "kafka": {
        "servers": "k1:9093,k2:9093",
        "settings": {
            "security": "sasl_ssl",
            "ca_file": "/kafka/ca.crt",
            "sasl_mechanism": "OAUTHBEARER",
            "oauth_token_url": "https://login.example/token",
            "oauth_client_id": "line",
            "oauth_client_secret_file": "/kafka/client-secret",
        },
        "filesSecret": "kafka-files",
        "filesConfigMap": "kafka-ca",
    },
    "image": {"digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "models": {"claim": "models", "writable": True, "shared": "for-others"},
    "lines": {
        "press": {
            "recipes": [{"product": "plate", "model": "/models/plate.onnx"}, {"model": "/models/cover.onnx"}],
            "settings": {"parts": {"views": {"plate": ["top", "bottom"]}}, "inspection": {"takt": 2}},
            "scaling": {"enabled": True, "maxReplicas": 4, "authentication": "kafka"},
            "parts": {"enabled": True},
            "review": {"hosts": ["review.example"], "storageClass": "fast"},
            "nodeSelector": {"gpu": "none"},
        },
        "paint": {"model": "paint.onnx", "replicas": 1, "review": {"enabled": False}, "topics": {"frames": "cameras"}},
    },
    "strimzi": {"enabled": True, "cluster": "factory", "namespace": "kafka"},
}


@cache
def rendered(values: str = "{}") -> list[Any]:
    """What would be applied with these values, JSON."""
    text = run(HELM, "template", "hall-1", CHART, "--namespace", "andon", "--values", "-", stdin=values)
    return [one for one in yaml.safe_load_all(text) if one]


def of_kind(kind: str, values: str = "{}") -> dict[str, Any]:
    return {one["metadata"]["name"]: one for one in rendered(values) if one["kind"] == kind}


FACTORY = (DEPLOY / "helm" / "factory.yaml").read_text()
BOTH = pytest.mark.parametrize("values", ["{}", json.dumps(BUSY)], ids=["default", "busy"])
ALL = pytest.mark.parametrize("values", ["{}", json.dumps(BUSY), FACTORY], ids=["default", "busy", "factory"])


def test_helm_has_nothing_against_the_chart() -> None:
    assert "0 chart(s) failed" in run(HELM, "lint", "--strict", CHART)


@ALL
def test_what_is_rendered_is_valid(values: str) -> None:
    checked = [one for one in rendered(values) if one["kind"] not in OF_OPERATORS]
    for one in checked:
        kubernetes_validate.validate(one, "1.37.0", strict=True)
    spoilt = next(one for one in checked if '"containerPort"' in json.dumps(one))
    spoilt = json.loads(json.dumps(spoilt).replace('"containerPort"', '"containerPorts"', 1))
    with pytest.raises(kubernetes_validate.ValidationError, match="containerPorts"):
        kubernetes_validate.validate(spoilt, "1.37.0", strict=True)


@ALL
def test_the_programs_take_the_settings(values: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if values == FACTORY:
        monkeypatch.setenv("ANDON_KAFKA_PASSWORD", "from the secret")
    for name, config in of_kind("ConfigMap", values).items():
        if "andon.yaml" not in config["data"]:
            continue
        (tmp_path / "andon.yaml").write_text(config["data"]["andon.yaml"])
        settings = load_settings({}, tmp_path / "andon.yaml")
        line = name.removeprefix("hall-1-").removesuffix("-settings")
        assert settings.kafka.group_id == f"andon-{line}"
        assert settings.output.verdicts.endswith(f"/{line}.verdicts")
        frames = "cameras" if line == "paint" and values != FACTORY else f"{line}.frames"
        assert str(settings.source.uri).endswith(f"/{frames}")


@BOTH
def test_pods_have_no_more_rights_than_they_need_and_every_volume_they_mount(values: str) -> None:
    workloads = of_kind("StatefulSet", values) | of_kind("Deployment", values)
    configs, claims = of_kind("ConfigMap", values), of_kind("PersistentVolumeClaim", values)
    for workload in workloads.values():
        check_rights(workload)
        pod = workload["spec"]["template"]["spec"]
        assert len(pod["containers"]) == 1
        for volume in pod["volumes"]:
            if volume["name"] == "config":
                assert volume["configMap"]["name"] in configs
            if volume["name"] == "store":
                assert volume["persistentVolumeClaim"]["claimName"] in claims


@BOTH
def test_whatever_chooses_pods_chooses_those_it_means(values: str) -> None:
    workloads = of_kind("StatefulSet", values) | of_kind("Deployment", values)
    pods = {name: one["spec"]["template"]["metadata"]["labels"] for name, one in workloads.items()}
    for kind in ("Service", "PodDisruptionBudget", "StatefulSet", "Deployment", "NetworkPolicy"):
        for name, one in of_kind(kind, values).items():
            selector = one["spec"].get("podSelector") or one["spec"]["selector"]
            wanted = selector.get("matchLabels", selector).items()
            assert [pod for pod, has in pods.items() if wanted <= has.items()] == [name], kind
    services = {name: one["metadata"]["labels"] for name, one in of_kind("Service", values).items()}
    for name, one in of_kind("ServiceMonitor", values).items():
        wanted = one["spec"]["selector"]["matchLabels"].items()
        assert [service for service, has in services.items() if wanted <= has.items()] == [name]
    for name, one in of_kind("ScaledObject", values).items():
        assert one["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in workloads[name]["spec"]
    assert set(of_kind("NetworkPolicy", values)) == set(workloads)


def test_several_lines_share_nothing_but_what_is_meant() -> None:
    values = json.dumps(BUSY)
    jobs = [
        one["spec"]["endpoints"][0]["relabelings"][0]["replacement"]
        for one in of_kind("ServiceMonitor", values).values()
    ]
    assert sorted(set(jobs)) == ["andon-paint", "andon-press"]
    assert set(of_kind("StatefulSet", values)) == {"hall-1-press-monitor", "hall-1-press-parts", "hall-1-paint-monitor"}
    assert set(of_kind("Deployment", values)) == {"hall-1-press-review"}


def test_the_page_alone_writes_models_and_only_where_it_may() -> None:
    for values, folders in (("{}", {"/models": (True, True)}),
                            (json.dumps(BUSY), {"/models": (True, False), "/shared": (True, False)})):  # fmt: skip
        for name, workload in (of_kind("StatefulSet", values) | of_kind("Deployment", values)).items():
            pod = workload["spec"]["template"]["spec"]
            found = {one["mountPath"]: one.get("readOnly", False) for one in pod["containers"][0]["volumeMounts"]}
            for folder, (of_monitor, of_page) in folders.items():
                if not name.endswith("-parts"):
                    assert found[folder] == (of_page if name.endswith("-review") else of_monitor), (name, folder)
    settings = yaml.safe_load(of_kind("ConfigMap", json.dumps(BUSY))["hall-1-press-settings"]["data"]["andon.yaml"])
    assert settings["model"] == {"topic": "kafka://k1:9093,k2:9093/press.models", "shared": "/shared"}


def test_rules_and_dashboards_are_those_of_their_sources() -> None:
    (rule,) = of_kind("PrometheusRule").values()
    written = [
        group
        for path in sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    assert rule["spec"]["groups"] == written
    boards = {
        name: content
        for config in of_kind("ConfigMap").values()
        if config["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, content in config["data"].items()
    }
    sources = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    assert {name: json.loads(text) for name, text in boards.items()} == {
        path.name: json.loads(path.read_text()) for path in sources
    }


def test_topics_for_strimzi_are_those_of_the_command() -> None:
    values = json.dumps(BUSY)
    made = {one["spec"]["topicName"]: one["spec"] for one in of_kind("KafkaTopic", values).values()}
    names = [f"press.{what}" for what in ("frames", "verdicts", "dead-letters", "defects", "labels", "parts")]
    frames, verdicts, letters, defects, labels, parts = names
    planned = plan(frames, verdicts, letters, 8, KafkaSettings(), defects, labels, parts, None, "press.models")
    wanted = {topic.name: topic for topic in planned}
    assert set(wanted) == {name for name in made if name.startswith("press.")}
    for name, topic in wanted.items():
        config = made[name]["config"]
        assert made[name]["partitions"] == topic.partitions
        assert config["max.message.bytes"] == topic.max_message_bytes
        assert config["retention.ms"] == RETENTION_MS[topic.purpose] == topic.retention_ms
        assert config["retention.bytes"] == topic.retention_bytes
        expected = STATE_CONFIGS if topic.purpose in COMPACTED else {"cleanup.policy": "delete"}
        assert {key: str(config[key]) for key in expected} == expected
    (user,) = of_kind("KafkaUser", values).values()
    rights = {acl["resource"]["name"]: set(acl["operations"]) for acl in user["spec"]["authorization"]["acls"]
              if acl["resource"]["type"] == "topic"}  # fmt: skip
    assert set(rights) == set(made)
    assert "Write" not in rights["press.frames"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lines": {"Line_1": {}}}, "Line_1"),
        ({"lines": {"a": {"replica": 2}}}, "replica"),
        ({"kafka": {"servers": "kafka"}}, "servers"),
        ({"models": {"shared": "for-others"}}, "writable"),
        ({"kafka": {"settings": {"password": "hunter2"}}}, "settings"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], message: str) -> None:
    command = [HELM, "template", "x", CHART, "--values", "-"]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode != 0
    assert message in done.stderr
    assert "hunter2" not in done.stderr
