"""Passwords, tokens and certificates of targets, read from the files that the settings name."""

import ssl
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.settings.actions import TargetSettings


def read_secret(settings: TargetSettings, field: str) -> str | None:
    """The text of a file such as `password_file`, without its line end; None where none is named. Raises UsageError."""
    path: Path | None = getattr(settings, field)
    if path is None:
        return None
    what = f"output.actions: {settings.name}: {field}"
    try:
        text = path.read_text().strip("\r\n")
    except FileNotFoundError:  # perhaps the secret itself, so it is not shown
        raise UsageError(f"{what}: no such file; right is the path of a file that holds it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{what}: {path}: cannot be read ({type(error).__name__})") from None
    if not text or not text.isprintable():
        raise UsageError(f"{what}: {path}: is empty or has more than one line")
    return text


def check_pem_names(settings: TargetSettings) -> None:
    """Raise UsageError for PEM files that asyncua would take for DER: it goes by the end of their names."""
    for field in ("ca_file", "certificate_file", "key_file"):
        path: Path | None = getattr(settings, field)
        if path is not None and path.suffix.lower() not in (".pem", ".der"):
            raise UsageError(
                f"output.actions: {settings.name}: {field}: {path}: for OPC UA its name ends in .pem, or .der for DER"
            )


def tls_context(settings: TargetSettings) -> ssl.SSLContext:
    """The context of a client: the target must prove who it is. Raises UsageError for files that do not load."""
    what = f"output.actions: {settings.name}"
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise UsageError(f"{what}: ca_file: {settings.ca_file}: does not load ({error.strerror or error})") from None
    if settings.certificate_file is not None:
        key = settings.key_file or settings.certificate_file
        try:
            # A callable, since OpenSSL would otherwise ask for the password of an encrypted key at the terminal.
            context.load_cert_chain(settings.certificate_file, key, lambda: "")
        except OSError as error:
            raise UsageError(
                f"{what}: certificate_file: {settings.certificate_file}: does not load with its key "
                f"({error.strerror or error})"
            ) from None
    return context
