"""Hides passwords in what people see."""

from urllib.parse import urlsplit, urlunsplit


def hide_password(uri: str) -> str:
    """A URI with *** instead of its password, if it has one."""
    try:
        parts = urlsplit(uri)
        if parts.password is None:
            return uri
        return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}"))
    except ValueError:
        return uri.partition("://")[0] + "://***"
