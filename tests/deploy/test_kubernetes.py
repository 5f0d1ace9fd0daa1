"""The manifests of deploy/kubernetes: valid, with no more rights than needed, and their probes are answered."""

import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from andon_monitor.review.users import line

from tests.fixtures.deploy import ALERTS, DEPLOY, check_rights, run, script
from tests.fixtures.small_model import build_model

BASE = DEPLOY / "kubernetes" / "base"


def manifests(folder: str = "base") -> list[Any]:
    """What would be applied."""
    return list(yaml.safe_load_all(run("kubectl", "kustomize", DEPLOY / "kubernetes" / folder)))


def of_kind(*kinds: str) -> dict[str, Any]:
    """Manifests of the base by name."""
    return {found["metadata"]["name"]: found for found in manifests() if found["kind"] in kinds}


def test_rules_for_kubernetes_are_the_rules() -> None:
    written = (BASE / "rules.yaml").read_text()
    assert written == script(DEPLOY / "kubernetes" / "rules.py")["render"]()
    groups = yaml.safe_load(written)["spec"]["groups"]
    assert [rule for group in groups for rule in group["rules"] if "alert" in rule] == ALERTS


@pytest.mark.parametrize("folder", ["base", "parts", "scaling", "bridge"])
def test_kubernetes_manifests_are_valid(folder: str) -> None:
    """Those of Kubernetes itself against its schema; kinds of operators have none here."""
    import kubernetes_validate

    found = manifests(folder)
    kinds = {manifest["kind"] for manifest in found}
    assert {"StatefulSet", "Deployment", "Service", "PodDisruptionBudget", "ServiceMonitor", "PrometheusRule"} <= kinds
    assert ("ScaledObject" in kinds) == (folder == "scaling")
    for manifest in found:
        if manifest["apiVersion"].split("/")[0] in ("v1", "apps", "policy"):
            kubernetes_validate.validate(manifest, "1.37.0", strict=True)


def test_pods_have_no_more_rights_than_they_need() -> None:
    everything = manifests("parts") + manifests("bridge")  # each has all of the base
    found = {one["metadata"]["name"]: one for one in everything if one["kind"] in ("StatefulSet", "Deployment")}
    assert set(found) == {"monitor", "parts", "review", "bridge"}
    for workload in found.values():
        check_rights(workload)
        for container in workload["spec"]["template"]["spec"]["containers"]:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
            assert container["resources"]["limits"]["memory"]


def test_whatever_chooses_pods_chooses_those_it_means() -> None:
    pods = {name: item["spec"]["template"]["metadata"]["labels"] for name, item in
            of_kind("StatefulSet", "Deployment").items()}  # fmt: skip
    for item in (*of_kind("Service").values(), *of_kind("PodDisruptionBudget", "StatefulSet", "Deployment").values()):
        selector = item["spec"]["selector"]
        wanted = selector.get("matchLabels", selector).items()
        assert [name for name, has in pods.items() if wanted <= has.items()] == [item["metadata"]["name"]]
    (scraped,) = of_kind("ServiceMonitor").values()
    wanted = scraped["spec"]["selector"]["matchLabels"].items()
    assert [n for n, s in of_kind("Service").items() if wanted <= s["metadata"]["labels"].items()] == ["monitor"]


def test_the_review_page_is_one_that_keeps_its_store() -> None:
    review = of_kind("Deployment")["review"]["spec"]
    assert (review["replicas"], review["strategy"]) == (1, {"type": "Recreate"})
    claims = {
        volume["persistentVolumeClaim"]["claimName"]: volume["name"]
        for volume in review["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert set(of_kind("PersistentVolumeClaim")) == {"andon-review"}
    (container,) = review["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    settings = yaml.safe_load((BASE / "andon.yaml").read_text())
    assert mounts[claims["andon-review"]] == settings["review"]["store"]
    assert settings["review"]["users_file"].startswith(mounts["users"] + "/")
    assert settings["model"]["path"].startswith(mounts["model"] + "/")


def test_the_review_page_answers_its_probes_with_these_settings(tmp_path: Path) -> None:
    """With its own andon.yaml but for paths and the brokers, which are away: that must not end the page."""
    (tmp_path / "part.onnx").write_bytes(build_model())
    (tmp_path / "users").write_text(line("ann", "secret"))
    text = (BASE / "andon.yaml").read_text()
    for old, new in (("/models/part.onnx", str(tmp_path / "part.onnx")), ("/state", str(tmp_path / "state")),
                     ("/users/users", str(tmp_path / "users")), ("kafka:9092", "127.0.0.1:1")):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "andon.yaml").write_text(text)
    (container,) = of_kind("Deployment")["review"]["spec"]["template"]["spec"]["containers"]
    arguments = [argument.replace("/config", str(tmp_path)) for argument in container["args"]]
    command = [sys.executable, "-m", "andon_monitor", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = (re.search(r"review page at http://[^ ]*:(\d+)/", text) for text in process.stderr)
        port = next(match[1] for match in said if match)
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            get = container[name]["httpGet"]
            headers = {header["name"]: header["value"] for header in get["httpHeaders"]}
            request = urllib.request.Request(f"http://127.0.0.1:{port}{get['path']}", headers=headers)
            assert urllib.request.urlopen(request, timeout=20).status == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0
