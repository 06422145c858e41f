"""Codes and tokens of the loopback issuer, kept in memory: they are gone when it stops."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from threading import Lock
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CODE_LIFETIME_S = 60
ACCESS_LIFETIME_S = 300
REFRESH_LIFETIME_S = 12 * 3600


@dataclass(frozen=True)
class Grant:
    """What stands behind a code or a token: whose it is, until when it is good, what it was asked with."""

    name: str
    expires: float
    redirect_uri: str = ""
    challenge: str = ""
    nonce: str | None = None


class TokenStore:
    """Hands codes and tokens out, and takes each code and each refresh token once.

    Parameters
    ----------
    address
        The issuer's address, which stands in every ID token.
    audience
        The client that ID tokens are for.
    """

    def __init__(self, address: str, audience: str) -> None:
        self.address = address
        self.audience = audience
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = secrets.token_hex(8)
        self._codes: dict[str, Grant] = {}
        self._access: dict[str, Grant] = {}
        self._refresh: dict[str, Grant] = {}
        self._lock = Lock()

    def public_key(self) -> dict[str, Any]:
        """Return the public key as a JSON Web Key."""
        key: dict[str, Any] = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return key | {"kid": self._key_id, "use": "sig", "alg": "RS256"}

    def issue_code(self, name: str, redirect_uri: str, challenge: str, nonce: str | None) -> str:
        """Return a code for ``name`` that can be redeemed once, with the verifier of ``challenge``."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._codes[code] = Grant(name, time.monotonic() + CODE_LIFETIME_S, redirect_uri, challenge, nonce)
        return code

    def redeem_code(self, code: str, redirect_uri: str, verifier: str) -> Grant | None:
        """Take ``code``; nothing comes of it if it is unknown, used, late, or the verifier is wrong (RFC 7636, 4.6)."""
        grant = self._take(self._codes, code)
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if grant and grant.redirect_uri == redirect_uri and hmac.compare_digest(grant.challenge, challenge):
            return grant
        return None

    def redeem_refresh(self, token: str) -> Grant | None:
        """Take a refresh token; it can be used once."""
        return self._take(self._refresh, token)

    def issue_tokens(self, grant: Grant, claims: dict[str, object]) -> dict[str, object]:
        """Return an access token, a refresh token and a signed ID token for the person of ``grant``."""
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        moment = time.monotonic()
        with self._lock:
            self._drop_expired(moment)
            self._access[access] = Grant(grant.name, moment + ACCESS_LIFETIME_S)
            self._refresh[refresh] = Grant(grant.name, moment + REFRESH_LIFETIME_S)
        return {
            "access_token": access,
            "refresh_token": refresh,
            "id_token": self._sign(claims | ({"nonce": grant.nonce} if grant.nonce else {})),
            "token_type": "Bearer",
            "scope": "openid profile",
        }

    def find_person(self, access_token: str) -> str | None:
        """Return whose access token this is, if it is still good."""
        grant = self._access.get(access_token)
        return grant.name if grant and grant.expires > time.monotonic() else None

    def forget(self, id_token: str) -> None:
        """Make every token of the person in ``id_token`` worthless; a token we did not sign changes nothing."""
        try:
            # An ID token that has run out still says who wants to leave (RP-Initiated Logout 1.0, section 2).
            claims = jwt.decode(
                id_token,
                self._key.public_key(),
                algorithms=["RS256"],
                audience=self.audience,
                options={"verify_exp": False},
            )
        except jwt.InvalidTokenError:
            return
        with self._lock:
            for store in (self._access, self._refresh):
                for token in [token for token, grant in store.items() if grant.name == claims["sub"]]:
                    del store[token]

    def _sign(self, claims: dict[str, object]) -> str:
        now = int(time.time())
        body = claims | {"iss": self.address, "aud": self.audience, "iat": now, "exp": now + ACCESS_LIFETIME_S}
        return jwt.encode(body, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def _take(self, store: dict[str, Grant], token: str) -> Grant | None:
        with self._lock:
            grant = store.pop(token, None)
        return grant if grant and grant.expires > time.monotonic() else None

    def _drop_expired(self, moment: float) -> None:
        for store in (self._codes, self._access, self._refresh):
            for token in [token for token, grant in store.items() if grant.expires <= moment]:
                del store[token]
