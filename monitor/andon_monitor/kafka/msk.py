"""Tokens for Amazon MSK with IAM: signed on this machine by Amazon's library, from the credentials that it finds."""

import time
from dataclasses import dataclass

from aws_msk_iam_sasl_signer.MSKAuthTokenProvider import generate_auth_token

from andon_monitor.errors import first_line
from andon_monitor.kafka.tokens import Token, TokenError


@dataclass(frozen=True)
class MskSigner:
    """Signs for a region. Credentials come from the environment, a profile, or the machine's or the pod's role."""

    region: str
    timeout: float  # of whoever waits: the library has its own for the service that gives credentials

    def fetch(self) -> Token:
        """Sign a token. Raises TokenError."""
        try:
            text, expires = generate_auth_token(self.region)
        except Exception as error:  # where it finds no credentials an AttributeError
            why = "no credentials found" if isinstance(error, AttributeError) else first_line(error)
            raise TokenError(f"AWS_MSK_IAM, region {self.region}: no token ({why})", False) from None
        return Token(text, expires / 1000 - time.time())
