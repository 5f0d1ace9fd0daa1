"""Login by token: a real broker that checks signatures, and a token endpoint that does what it wants."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.connection import client_options
from andon_monitor.kafka.diagnosis import diagnose
from andon_monitor.kafka.oidc import MAX_ANSWER_BYTES, TokenEndpoint
from andon_monitor.kafka.tokens import TokenError
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.settings.loading import load_settings

from tests.fixtures.broker import Authority
from tests.fixtures.components import skip_or_fail
from tests.fixtures.kafka_line import Line
from tests.fixtures.small_model import parts
from tests.fixtures.token_server import AUDIENCE, CLIENT, SCOPE, SECRET, TokenServer


@pytest.fixture
def server(token_server: TokenServer) -> Iterator[TokenServer]:
    """The token endpoint, in order again after the test."""
    yield token_server
    token_server.seconds, token_server.audience, token_server.answer = 300, AUDIENCE, None
    token_server.given.clear()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "client-secret"
    path.write_text(SECRET + "\n")
    return path


def settings_of(server: TokenServer, secret: Path, authority: Authority) -> dict[str, Any]:
    return {
        "security": "sasl_ssl",
        "ca_file": authority.certificate,
        "sasl_mechanism": "OAUTHBEARER",
        "oauth_token_url": server.url,
        "oauth_client_id": CLIENT,
        "oauth_client_secret_file": secret,
        "oauth_scope": SCOPE,
        "oauth_ca_file": server.certificate,
    }


def test_tokens_that_expire_during_a_run_and_an_endpoint_that_is_away_lose_nothing(
    cluster: Any, authority: Authority, server: TokenServer, secret: Path, model_path: Path, tmp_path: Path
) -> None:
    line = Line(cluster.servers, "tokens", model_path, tmp_path)
    line.send([data for data, _ in parts(4)])
    server.seconds = 6
    login = [f"kafka.{key}={value}" for key, value in settings_of(server, secret, authority).items()]
    line.servers = cluster.secure_servers
    with line.monitor(*login) as monitor:
        line.servers = cluster.servers
        line.read_answers(4)
        server.wait_until(lambda: len(server.given) >= 3)  # the first one has expired
        line.send([data for data, _ in parts(4)])
        line.read_answers(8)
        server.answer = lambda: (503, b"<html>away</html>")
        monitor.wait_for("no new token")
        monitor.wait_for("; waiting")  # the last token has expired, and the connections with it
        line.send([data for data, _ in parts(4)])
        server.answer = None
        verdicts = line.read_answers(12)
        monitor.wait_for("works again")
    assert len({verdict["id"] for verdict in verdicts}) == 12
    log = monitor.log.read_text()
    assert f"token endpoint {server.url}: answers with status 503" in log
    assert SECRET not in log
    assert not [token for token in server.given if token[-20:] in log]


@pytest.mark.parametrize(
    ("answer", "message", "may_pass"),
    [
        ((503, b"away"), r"answers with status 503$", True),
        ((429, b'{"error": "slow_down"}'), r"refuses with slow_down$", True),
        ((404, b"?"), r"answers with status 404; wrong kafka.oauth_token_url\?$", False),
        ((400, b'{"error": "Bearer\\nabc"}'), r"answers with status 400; ", False),
        ((200, b"\xff\x00garbage"), r"answers without a token", True),
        ((200, b"[" * 60_000), r"answers without a token", True),
        ((200, b'{"access_token": "a\\u0001b"}'), r"answers without a token", True),
        ((200, b'{"access_token": "abc", "expires_in": NaN}'), r"gives tokens that are valid for less than 5 s$", True),
        ((200, b'{"access_token": "abc", "expires_in": {}}'), r"gives tokens that are valid for less than 5 s$", True),
        ((200, b" " * (MAX_ANSWER_BYTES + 1)), r"answers with more than 65536 bytes$", True),
        ((307, b""), r"answers with status 307$", True),
        (None, r"no answer within 0.5 s$", True),
    ],
)
def test_whatever_a_token_endpoint_answers_is_one_line(
    answer: tuple[int, bytes] | None, message: str, may_pass: bool, server: TokenServer, secret: Path
) -> None:
    server.answer = lambda: answer
    endpoint = TokenEndpoint(
        server.url + "?key=hush", CLIENT, secret, SCOPE, server.certificate, 0.5 if answer is None else 30
    )
    with pytest.raises(TokenError, match=rf"^token endpoint {server.url}: {message}") as caught:
        endpoint.fetch()
    assert caught.value.may_pass is may_pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"secret": "wrong"}, r"refuses with invalid_client; wrong kafka.oauth_client_id or secret\?$"),
        ({"oauth_scope": "other"}, r"refuses with invalid_scope; wrong kafka.oauth_scope\?$"),
        ({"oauth_ca_file": None}, r"its certificate is not accepted \(self.signed certificate\); wrong kafka.oauth_ca"),
        ({"audience": "others"}, r"the broker refuses the token of client line-3; wrong kafka.oauth_scope, or"),
        ({"oauth_client_secret_file": "s3cret"}, r"kafka.oauth_client_secret_file: no such file; right is the path"),
        ({"secret": ""}, r"client-secret: is empty or has more than one line$"),
    ],
)
def test_a_login_refused_says_why(
    changes: dict[str, Any], message: str, cluster: Any, authority: Authority, server: TokenServer, secret: Path
) -> None:
    if "secret" in changes:
        secret.write_text(changes["secret"])
    server.audience = changes.get("audience", AUDIENCE)
    chosen = settings_of(server, secret, authority) | {k: v for k, v in changes.items() if k.startswith("oauth")}
    settings = KafkaSettings(**{key: value for key, value in chosen.items() if value is not None})
    fault = diagnose(parse_address(f"kafka://{cluster.secure_servers}/andon.frames"), settings)
    assert fault is not None
    assert not fault.may_pass
    with pytest.raises(UsageError, match=message):
        raise UsageError(fault.message)
    assert not [one for one in (SECRET, "s3cret", *server.given) if one in fault.message]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"oauth_token_url": None}, "OAUTHBEARER needs oauth_token_url"),
        ({"oauth_client_secret_file": None}, "OAUTHBEARER needs oauth_client_secret_file"),
        ({"oauth_token_url": "http://login.example/token"}, "http:// only on this machine"),
        ({"oauth_token_url": "https://me:hunter2@login.example/token"}, "should have no user, password"),
        ({"oauth_token_url": "https://login.example:x/"}, "should be https://host/path"),
        ({"username": "u"}, "username is given, but is not for OAUTHBEARER"),
        ({"security": "ssl"}, "right is sasl_ssl"),
        ({"sasl_mechanism": "AWS_MSK_IAM"}, "AWS_MSK_IAM needs aws_region"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], message: str) -> None:
    chosen = {
        "security": "sasl_ssl",
        "sasl_mechanism": "OAUTHBEARER",
        "oauth_token_url": "https://login.example/token",
        "oauth_client_id": "line",
        "oauth_client_secret_file": "secret",
    } | settings
    with pytest.raises(UsageError, match=message) as caught:
        load_settings({f"kafka.{key}": value for key, value in chosen.items() if value is not None}, None)
    assert "hunter2" not in str(caught.value)


def test_tokens_for_msk_are_signed_here_from_the_credentials_of_the_environment(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is no MSK here that would take one."""
    try:
        from andon_monitor.kafka.msk import MskSigner
    except ModuleNotFoundError:
        skip_or_fail("andon[msk] is not installed")
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    signer = MskSigner("eu-central-1", 10.0)
    with pytest.raises(TokenError, match=r"^AWS_MSK_IAM, region eu-central-1: no token \(no credentials found\)$"):
        signer.fetch()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-hush")
    token = signer.fetch()
    address = base64.urlsafe_b64decode(token.text + "=" * (-len(token.text) % 4)).decode()
    assert address.startswith("https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect&")
    assert "X-Amz-Credential=AKIAEXAMPLE" in address
    assert 600 < token.seconds <= 900
    settings = KafkaSettings(
        security="sasl_ssl", ca_file=authority.certificate, sasl_mechanism="AWS_MSK_IAM", aws_region="eu-central-1"
    )
    options = client_options(settings, parse_address("kafka://broker:9098/andon.frames"))
    assert options["sasl_mechanism"] == "OAUTHBEARER"
    assert options["sasl_oauth_token_provider"].token().startswith(token.text[:40])
