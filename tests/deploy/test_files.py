"""The files of deploy/, checked with the programs that will read them."""

import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from andon_monitor.actions.bridge import topic_of
from andon_monitor.actions.rules import compile_rules
from andon_monitor.settings.loading import load_settings
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.browser import tab
from tests.fixtures.components import skip_or_fail
from tests.fixtures.dashboards import FOLDER, NAMES, load
from tests.fixtures.deploy import ALERTS, DEPLOY, run, script

ROOT = DEPLOY.parent
PROMETHEUS = DEPLOY / "prometheus"
RULE_TESTS = sorted((PROMETHEUS / "tests").iterdir())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.mark.parametrize("name", ["prometheus.yml", "local.yml"])
def test_promtool_accepts_configuration_and_rules(name: str) -> None:
    run("promtool", "check", "config", PROMETHEUS / name)


def test_the_files_for_one_machine_are_those_of_the_containers() -> None:
    for name, content in script(DEPLOY / "local.py")["render"]().items():
        assert (DEPLOY / name).read_text() == content, f"run python deploy/local.py: {name} is not what it writes"
        named = re.findall(r"[a-z]+:90\d\d|monitor, |dns_sd", content)
        assert named == [], f"{name} has a name that only containers know"


def test_alerts_fire_when_they_should_and_not_else() -> None:
    run("promtool", "test", "rules", *RULE_TESTS)


def test_every_alert_is_tested_firing_and_not_firing() -> None:
    tests = [test for file in RULE_TESTS for test in yaml.safe_load(file.read_text())["tests"]]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    firing = {check["alertname"] for check in checks if check["exp_alerts"]}
    silent = {check["alertname"] for check in checks if not check["exp_alerts"]}
    names = {alert["alert"] for alert in ALERTS}
    assert firing == names
    assert silent == names - {"Watchdog"}


def test_every_alert_leads_to_its_section_of_the_runbook() -> None:
    sections = set(re.findall(r"^## (\w+)$", (ROOT / "docs" / "operator" / "runbook.md").read_text(), re.MULTILINE))
    assert sections == {alert["alert"] for alert in ALERTS}
    for alert in ALERTS:
        notes = alert["annotations"]
        assert alert["labels"]["severity"] in ("critical", "warning", "none")
        assert notes["summary"]
        assert notes["description"].endswith(".")
        assert notes["runbook_url"] == "{{ $externalLabels.runbook }}#" + alert["alert"].lower()


def test_inhibition_names_alerts_that_exist() -> None:
    routes = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    names = {alert["alert"] for alert in ALERTS}
    for rule in routes["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            assert set(re.findall(r"[A-Z]\w+", matcher)) <= names, matcher


@pytest.mark.parametrize("name", ["alertmanager.yml", "local.yml"])
def test_amtool_accepts_the_routes(name: str) -> None:
    run("amtool", "check-config", DEPLOY / "alertmanager" / name)


def test_promtool_has_nothing_against_our_metrics() -> None:
    from prometheus_client.exposition import generate_latest

    lines = generate_latest(Metrics().registry).decode().splitlines(keepends=True)
    run("promtool", "check", "metrics", stdin="".join(line for line in lines if "andon_" in line))


@pytest.mark.parametrize("name", NAMES)
def test_the_dashboards_are_what_their_code_says(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == script(DEPLOY / "grafana" / "generate.py")["render"]()[
        f"{name}.json"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_dashboards_explain_themselves_and_fill_their_rows(name: str) -> None:
    board = load(name)
    assert board["schemaVersion"] == 42
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["title"], panel
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    rows = max(y for _, y in taken) + 1
    assert len(taken) == 24 * rows  # no holes
    known = {f"{script(DEPLOY / 'grafana' / 'panels.py')['RUNBOOK']}#{alert['alert'].lower()}" for alert in ALERTS}
    anchored = {link["url"] for panel in board["panels"] for link in panel["links"] if "#" in link["url"]}
    assert anchored <= known


@pytest.mark.parametrize("name", ["monitor", "trainer"])
def test_the_dockerfiles_pass_their_linter(name: str) -> None:
    run(Path(sys.executable).parent / "hadolint", DEPLOY / "docker" / f"{name}.Dockerfile")


@pytest.mark.parametrize("name", ["monitor", "trainer"])
def test_the_context_of_an_image_has_all_that_is_copied(name: str) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    dockerfile = (DEPLOY / "docker" / f"{name}.Dockerfile").read_text()
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    copied = {source for line in lines for source in line.split()}
    assert "pyproject.toml" in copied
    assert {source for source in copied if not (ROOT / source).exists()} == set()
    assert copied - allowed == set()


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert service["mem_limit"]
    assert service["cpus"]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_compose_file_holds_no_secret_and_names_files_that_are_there() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert re.findall(r"(?i)(?:password|secret|token)[^\n:]*: (?!\$\{)(\S+)", text) == []
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.replace("${ANDON_DATA:-data}", "data").split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), source


def test_compose_accepts_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFANA_PASSWORD", "any")
    run("docker-compose", "--file", ROOT / "docker-compose.yml", "config", "--quiet")


def test_compose_needs_nothing_but_itself_and_takes_a_folder_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample is made before anything reads it, by a service that ends; everybody else may only read."""
    monkeypatch.setenv("GRAFANA_PASSWORD", "any")
    sample = COMPOSE["services"]["sample"]
    assert sample["restart"] == "no"
    readers = 0
    for name, service in COMPOSE["services"].items():
        if any(volume.endswith("/data:ro") for volume in service.get("volumes", [])):
            readers += 1
            assert service["depends_on"]["sample"] == {"condition": "service_completed_successfully"}, name
    assert readers == 4

    def source() -> str:
        said = yaml.safe_load(run("docker-compose", "--file", ROOT / "docker-compose.yml", "config"))
        (volume,) = said["services"]["sample"]["volumes"]
        return volume.split(":")[0] if isinstance(volume, str) else volume["source"]  # as versions 1 and 2 write it

    assert source() == "data"
    monkeypatch.setenv("ANDON_DATA", "./demo")
    assert source() == str(ROOT / "demo")


def test_the_sample_is_made_once(tmp_path: Path) -> None:
    """The script of the service itself, with a trainer that notes what it is asked for."""
    trainer = tmp_path / "andon-trainer"
    trainer.write_text('#!/bin/sh\necho "$@" >>calls\ncase $1 in sample) mkdir part;; fit) touch part.onnx;; esac\n')
    trainer.chmod(0o755)
    (tmp_path / "part").mkdir()  # left by an interrupted start
    (script_,) = COMPOSE["services"]["sample"]["command"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    for _ in range(2):
        here = script_.replace("/data", str(tmp_path))
        subprocess.run(["/bin/sh", "-euc", here], cwd=tmp_path, env=environment, check=True)
    calls = [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]
    assert calls == ["sample", "fit"]


def test_kafka_is_reached_from_this_machine_as_from_containers() -> None:
    kafka = COMPOSE["services"]["kafka"]
    listeners = dict(one.split("://") for one in kafka["environment"]["KAFKA_LISTENERS"].split(","))
    advertised = dict(one.split("://") for one in kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert kafka["ports"] == [f"127.0.0.1:{advertised['HOST'].rpartition(':')[2]}{listeners['HOST']}"]
    assert advertised == {"PLAINTEXT": "kafka:9092", "HOST": "localhost:9092"}


def test_the_bridge_finds_its_settings_and_keeps_its_outbox_in_a_volume() -> None:
    bridge = COMPOSE["services"]["bridge"]
    assert bridge["profiles"] == ["bridge"]
    assert bridge["build"]["args"] == {"EXTRAS": "cpu,actions"}
    for file in ("bridge.yaml", "kubernetes/bridge/bridge.yaml"):
        settings = load_settings({"source.uri": "kafka://kafka:9092/andon.verdicts"}, DEPLOY / file)
        assert topic_of(settings).topic == "andon.verdicts"
        assert settings.output.outbox is not None
        assert "bridge:" + str(settings.output.outbox.parent) in bridge["volumes"]
        assert all(compile_rules(target) for target in settings.output.actions)
    lines = script(DEPLOY / "alertmanager" / "receiver.py")["_lines"]
    assert lines({"verdict": "defect", "id": "a1"}) == ["defect | a1"]


def test_the_page_that_teaches_is_the_page_in_the_image_of_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    review, teach = COMPOSE["services"]["review"], COMPOSE["services"]["teach"]
    assert teach["profiles"] == ["teach"]
    assert (teach["image"], teach["build"]) == tuple(COMPOSE["services"]["sample"][name] for name in ("image", "build"))
    assert (teach["command"], teach["ports"]) == (review["command"], review["ports"])
    assert "${ANDON_DATA:-data}:/data" in teach["volumes"]  # it writes the model that the monitors read
    for name, value in teach["environment"].items():
        monkeypatch.setenv(name, value)
    settings = load_settings().review
    assert (settings.changers, str(settings.training)) == (("anybody",), "/data/part")


def test_each_monitor_has_a_name_and_charts_that_outlive_its_container() -> None:
    monitors = {name: service for name, service in COMPOSE["services"].items() if name.startswith("monitor")}
    assert len(monitors) > 1
    for name, service in monitors.items():
        assert service["environment"]["ANDON_KAFKA_INSTANCE_ID"] == name
        folder = str(Path(service["environment"]["ANDON_STATISTICS_STATE_FILE"]).parent)
        assert f"{name}:{folder}" in service["volumes"]
        assert name in COMPOSE["volumes"]
        assert service["networks"]["default"]["aliases"] == ["monitor"]  # as Prometheus looks for them
    assert f'install -d -o 10001 -g 10001 "$root{folder}"' in (DEPLOY / "docker" / "root.sh").read_text()


def test_compose_accepts_its_file_with_a_camera_and_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFANA_PASSWORD", "any")
    files = ["--file", ROOT / "docker-compose.yml", "--file", DEPLOY / "docker" / "gpu.yml"]
    said = yaml.safe_load(run("docker-compose", *files, "--profile", "camera", "config"))
    assert said["services"]["camera"]["devices"] == ["/dev/video0:/dev/video0"]
    for name in ("monitor-1", "monitor-2"):
        monitor = said["services"][name]
        assert monitor["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
        assert monitor["build"]["args"] == {"EXTRAS": "cuda"}
        assert monitor["cap_drop"] == ["ALL"]
        assert monitor["read_only"]


def test_grafana_writes_where_its_image_has_a_folder_for_it() -> None:
    """A new volume has the owner of the folder that it covers; where the image has none it is root's."""
    grafana = COMPOSE["services"]["grafana"]
    assert "grafana:/var/lib/grafana" in grafana["volumes"]
    assert "GF_PATHS_DATA" not in grafana["environment"]
    assert not any(folder.startswith("/var/lib/grafana") for folder in grafana["tmpfs"])


def test_what_grafana_is_provisioned_with_is_mounted_where_it_looks() -> None:
    grafana = COMPOSE["services"]["grafana"]
    mounted = {target: ROOT / source for source, target, *_ in (volume.split(":") for volume in grafana["volumes"])}
    provisioning = mounted["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "andon.yml").read_text())["providers"]
    assert provider["options"]["path"] == "$ANDON_DASHBOARDS"
    assert mounted[grafana["environment"]["ANDON_DASHBOARDS"]] == FOLDER
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (mounted[str(home.parent)] / home.name).exists()
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert all(panel["datasource"]["uid"] == source["uid"] for name in NAMES for panel in load(name)["panels"])
    address = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["global"]["external_labels"]["runbook"]
    page = Path("/usr/share/grafana") / address.split("/", 3)[3]
    assert mounted[str(page)].name == "runbook.html"
    assert mounted[str(page.with_name("runbook.md"))] == ROOT / "docs" / "operator" / "runbook.md"


def test_the_runbook_next_to_grafana_has_a_section_for_every_alert(chromium: Any, tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "grafana" / "runbook.html", tmp_path)
    shutil.copy(ROOT / "docs" / "operator" / "runbook.md", tmp_path)
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tab(chromium) as page:
            page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
            page.goto(f"http://127.0.0.1:{server.server_address[1]}/runbook.html#viewmissing")
            page.wait_for_selector("h2")
            page.wait_for_function("document.querySelector('h2:target') !== null")
            shown = page.evaluate("document.querySelector('h2:target').getBoundingClientRect().top")
            assert 0 <= shown < 800
            assert {*page.eval_on_selector_all("h2", "all => all.map((one) => one.id)")} == {
                alert["alert"].lower() for alert in ALERTS
            }
            assert "`" not in page.inner_text("body")
        server.shutdown()


@pytest.mark.parametrize("drop_ins", [(), ("camera",), ("gpu",), ("industrial",), ("camera", "gpu", "industrial")])
def test_systemd_accepts_the_unit(drop_ins: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        skip_or_fail("no systemd-analyze here")
    unit = tmp_path / "andon-monitor.service"
    text = (DEPLOY / "systemd" / unit.name).read_text()
    unit.write_text(text.replace("/opt/andon/bin/andon-monitor", "/bin/true"))
    folder = tmp_path / "andon-monitor.service.d"
    folder.mkdir()
    for name in drop_ins:
        shutil.copy(DEPLOY / "systemd" / f"{name}.conf", folder)
    assert run("systemd-analyze", "verify", "--man=no", unit) == ""
    said = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert "Overall exposure level" in said


def test_the_demo_s_settings_name_the_models_that_make_demo_fits() -> None:
    settings = load_settings(config=DEPLOY / "demo.yaml")
    makefile = (ROOT / "Makefile").read_text()
    for recipe in settings.recipes:
        assert f"-o {recipe.model} " in makefile, f"make demo makes no {recipe.model}"
    assert settings.parts.views == {"plate": ("top", "bottom"), "cover": ("top",)}
