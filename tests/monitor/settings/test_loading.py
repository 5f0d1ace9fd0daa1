import json
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.settings.groups import Settings
from andon_monitor.settings.loading import KEYS, SECRET_GROUPS, flatten, load_settings, parse_assignment

from tests.fixtures.commands import andon


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv("ANDON_" + key.replace(".", "_").upper(), raising=False)


def write(folder: Path, text: str) -> Path:
    path = folder / "andon.yaml"
    path.write_text(text)
    return path


def test_flags_come_before_the_environment_before_the_file_before_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path, "inspection: {batch_size: 2, in_flight: 20, max_pixels: 3}\nserver: {port: 1}")
    monkeypatch.setenv("ANDON_INSPECTION_BATCH_SIZE", "4")
    monkeypatch.setenv("ANDON_INSPECTION_MAX_PIXELS", "5")
    loaded = load_settings({"inspection.max_pixels": 7, "server.port": None}, config)
    assert loaded.inspection.max_pixels == 7  # flag
    assert loaded.inspection.batch_size == 4  # environment
    assert loaded.inspection.in_flight == 20  # file
    assert loaded.server.port == 1  # file: a flag that was not given does not count
    assert loaded.inspection.too_dark == 0.2  # default


@pytest.mark.parametrize("text", ["", "# nothing\n", "server:\n", "{}"])
def test_an_empty_file_is_all_defaults(tmp_path: Path, text: str) -> None:
    assert load_settings({}, write(tmp_path, text)).model_dump() == Settings().model_dump()


def test_thresholds_by_camera_come_from_file_or_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path, "inspection: {thresholds: {station-1: 2.5}}")
    assert load_settings({}, config).inspection.thresholds == {"station-1": 2.5}
    monkeypatch.setenv("ANDON_INSPECTION_THRESHOLDS", '{"station-2": 3}')
    assert load_settings().inspection.thresholds == {"station-2": 3.0}


def test_an_empty_variable_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_SERVER_PORT", "")
    assert load_settings().server.port == 9464


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server: {prot: 1}", "server.prot: unknown setting; did you mean server.port?"),
        ("servre: {port: 1}", "servre.port: unknown setting; did you mean server.port?"),
        ("inspction:", "inspction: unknown setting; did you mean inspection."),
        ("server: {port: many}", "server.port: should be a valid integer, unable to parse"),
        ("server: {port: 70000}", "server.port: should be less than or equal to 65535"),
        ("model: {provider: gpu}", "model.provider: 'gpu' should be 'auto', 'cpu', 'cuda' or 'tensorrt'"),
        ("inspection: {too_dark: 2}", "inspection.too_dark: 2 should be less than or equal to 1"),
        ("inspection: {too_dark: .nan}", "inspection.too_dark: nan should be a finite number"),
        ("inspection: {batch_size: 0}", "inspection.batch_size: 0 should be greater than or equal to 1"),
        ("inspection: {batch_size: 50}", "inspection: in_flight 32 is smaller than batch_size 50"),
        ("inspection: {thresholds: {a: high}}", "inspection.thresholds.a: 'high' should be a valid number"),
        ("server: {key_file: k.pem}", "server: key_file without certificate_file"),
        ("server: {username: a}", "server: username needs password_file, or password from ANDON_SERVER_PASSWORD"),
        ("server: {password: x}", "server: a password is given without username"),
        ("server: {username: a, password: x, password_file: y}", "server: password and password_file are both given"),
        ("statistics: {raised_defect_rate: 0.1}", "statistics: raised_defect_rate needs normal_defect_rate"),
        (
            "statistics: {normal_defect_rate: 0.1, raised_defect_rate: 0.1}",
            "statistics: raised_defect_rate 0.1 should be above normal_defect_rate 0.1",
        ),
        ("server: 9464", "server: should be a group of settings"),
        ("- server", "holds a list; right are groups of settings"),
        ("server: [1", "line 1: not YAML"),
        ("server: {port: 1}\n  x: 2", "line 2: not YAML"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    config = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_settings({}, config)
    assert str(caught.value).startswith(f"{config}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ANDON_SERVER_PRT", "1", "environment: ANDON_SERVER_PRT: unknown setting; did you mean ANDON_SERVER_PORT?"),
        ("ANDON_SERVRE_PORT", "1", "environment: ANDON_SERVRE_PORT: unknown setting; did you mean ANDON_SERVER_PORT?"),
        ("ANDON_SERVER_PORT", "x", "environment: ANDON_SERVER_PORT: server.port: should be a valid integer"),
        ("ANDON_INSPECTION_THRESHOLDS", "{", "environment: error parsing value for field"),
    ],
)
def test_a_mistake_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_other_variables_of_ours_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_TEST_BROKER", "localhost:9092")
    monkeypatch.setenv("ANDON_CONFIG", "andon.yaml")
    monkeypatch.setenv("ANDON_REQUIRE_ALL", "1")
    monkeypatch.setenv("ANDON_MONITOR_PORT", "tcp://10.0.0.1:9464")  # Kubernetes, for a service andon-monitor
    monkeypatch.setenv("ANDON_MONITOR_SERVICE_HOST", "10.0.0.1")
    load_settings()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"server.prt": 1}, "--set server.prt: unknown setting; did you mean server.port?"),
        ({"source.pace": "fast"}, "source.pace: 'fast' should be 'max' or 'recorded'"),
        ({"logging.level": "loud"}, "logging.level: 'loud' should be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_mistake_in_a_flag_is_named(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(flags)
    assert str(caught.value) == message


SECRET = "hunter2"


@pytest.mark.parametrize("group", sorted(SECRET_GROUPS))
@pytest.mark.parametrize(
    "text",
    [
        "{{{group}: {{passwrd: {secret}}}}}",
        "{group}: {{password: [{secret}]}}",
        "{group}: {{password: {{a: {secret}}}}}",
        "{group}: {{port: {secret}, request_timeout: {secret}}}",
        "{group}: {{security: {secret}, enabled: {secret}}}",
        "{group}: {{key_password: [{secret}]}}",
        "{group}: {{key_file: {secret}, certificate_file: [{secret}]}}",
        "{group}: [password, {secret}]",
        "{group}: password={secret}",
        "{group}: {{password {secret}}}",
        "{group}: {{password:{secret}}}",
        "{group}: {{{secret}}}",
        "{group}.password={secret}",
        "- {group}.password: {secret}",
        "{group}: {{password: !{secret} x}}",
        "{group}: {{password: *{secret}}}",
        "{group}: {{password: '{secret}",
        "{group}: {{password: {secret}: {secret}}}",
        "{group}: {{password: @{secret}}}",
        "{group}: {{password: %{secret}}}",
        "{group}:\n  password: {secret}\n bad: x",
    ],
)
def test_nothing_of_a_secret_group_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, group: str
) -> None:
    """Whatever the slip, in a file, the environment or a flag."""
    written = text.format(group=group, secret=SECRET)
    with pytest.raises(UsageError) as caught:
        load_settings({}, write(tmp_path, written))
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    value = written.partition(":")[2] or written
    for given in (value, json.dumps({"passwrd": SECRET}), json.dumps([SECRET]), json.dumps({"password": [SECRET]})):
        monkeypatch.setenv(f"ANDON_{group.upper()}", given)
        with pytest.raises(UsageError) as caught:
            load_settings()
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "assignment",
    [
        f"kafka.password:{SECRET}",
        f"kafka.password {SECRET}",
        f"{SECRET}",
        f"kafka={{password: {SECRET}}}",
        f"kafka.passwrd={SECRET}",
        f"kafka.security={SECRET}",
        f"kafka.request_timeout={SECRET}",
        f"kafka.username=[{SECRET}",
        f"kafka.username=*{SECRET}",
        f"kafka.{SECRET}=x",
        f"server.port={SECRET}",
        f"source.urii=rtsp://u:{SECRET}@h",
        f"source.pace=rtsp://u:{SECRET}@h",
        f"source.cameras=rtsp://u:{SECRET}@h",
        f"inspection.thresholds=[rtsp://u:{SECRET}@h]",
    ],
)
def test_no_slip_of_set_shows_what_is_secret(assignment: str) -> None:
    done = andon("check", "--set", assignment)
    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("review: {users_file: {ann: hunter2}}", "review.users_file: a group should be a path"),
        ("review: {users_file: [ann, hunter2]}", "review.users_file: a list should be a path"),
        ("review: {user_header: {ann: [hunter2]}}", "review.user_header: a group should be a valid string"),
        ("review: [ann, hunter2]", "review: a list should be a group of settings"),
    ],
)
def test_of_lists_and_groups_where_one_value_belongs_nothing_is_shown(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings({}, write(tmp_path, text))
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_password_of_set_is_taken_as_it_is() -> None:
    assert parse_assignment("kafka.password=0123") == ("kafka.password", "0123")
    assert parse_assignment("server.port=0123") == ("server.port", 83)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: cannot be read \(No such file or directory\)"):
        load_settings({}, tmp_path / "none.yaml")


def test_every_setting_says_what_it_means() -> None:
    rows = list(flatten(Settings()))
    assert [key for key, _, _ in rows] == list(KEYS)
    assert all(description for _, _, description in rows)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().server.port = 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "recipes: {bottle: a.onnx}",
            "recipes: should be a list of recipes, such as recipes: [{product: bottle, model",
        ),
        ("recipes: [a.onnx]", "recipe 1: should be a list of recipes"),
        (
            "recipes: [{model: a.onnx}, {product: 4711, model: b.onnx}]",
            "recipe 2: product: 4711 should be a text: in q",
        ),
        ("recipes: [{prodct: cap, model: a.onnx}]", "recipe 1: prodct: unknown setting; did you mean product?"),
        ("recipes: [{product: cap}]", "recipe 1: model: not given; right is a model file, such as model: bottle.onnx"),
        (
            "recipes: [{model: a.onnx, false_alarm_rate: 2}]",
            "recipe 1: false_alarm_rate: 2 should be less than or equal",
        ),
        (
            "recipes: [{model: a.onnx, threshold: 1, false_alarm_rate: 0.1}]",
            "recipe 1: threshold and false_alarm_rate are both given; which one?",
        ),
        (
            "{recipes: [{model: a.onnx}], model: {path: b.onnx}}",
            "model.path and recipes are both given; for all other frames, give it as the last recipe: - model: b.onnx",
        ),
        ("{recipes: [{model: a.onnx}], shadow: {path: b.onnx}}", "shadow.path: with recipes, each has its own shadow"),
        (
            "{recipes: [{model: a.onnx}], inspection: {thresholds: {c: 1.0}}}",
            "inspection.thresholds: with recipes, each has its own threshold",
        ),
    ],
)
def test_a_recipe_that_is_wrong_is_named_with_what_would_be_right(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings({}, write(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_recipes_come_from_the_file_alone_and_an_empty_list_is_none(tmp_path: Path) -> None:
    assert load_settings({}, write(tmp_path, "recipes:")).recipes == ()
    with pytest.raises(UsageError, match="--set recipes: recipes are a list in the settings file"):
        load_settings({"recipes": []})
