"""Tokens: a JSON Web Token in, an Identity out, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from zoozl.channels.websocket.options import Options
from zoozl.chatbot.identity import Identity
from zoozl.errors import ConfigError

LONGEST_TOKEN = 16 << 10
LONGEST_NAME = 255
LEAST_RSA_BITS = 2048


class Refused(Exception):
    """A token that proves nothing; the text is for its sender."""


class Proof(NamedTuple):
    """What a token proves, until `expires` (seconds since the epoch)."""

    identity: Identity
    expires: float


def verifier(options: Options) -> Callable[[str], Proof]:
    """What checks tokens with the key of `options`: a Proof for a token, or it raises Refused.

    The algorithm is that of the key, whatever a token says about itself. Raises ConfigError for a key that cannot be
    used.
    """
    # Imported here: most bots ask for no tokens, and should not wait for a library of ciphers at the start.
    import jwt

    key: Any
    if options.auth_secret is not None:
        key, algorithm = options.auth_secret.get_secret_value().encode(), "HS256"
    else:
        assert options.auth_public_key is not None
        key, algorithm = _public_key(Path(options.auth_public_key))
    # `iat` is no reason to refuse (RFC 7519, 4.1.6), and whose clock is ahead need not wait; `sub` is looked at below.
    rules: Any = {"require": ["exp"], "verify_iat": False, "verify_sub": False, "verify_jti": False}

    def verify(token: str) -> Proof:
        if len(token) > LONGEST_TOKEN:
            raise Refused("the token is too long")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=options.auth_audience,
                issuer=options.auth_issuer,
                options=rules,
            )
            # What a message carries is kept in the store: what cannot be written there is no good claim either.
            orjson.dumps(claims)
            expires = float(int(claims["exp"]))
        except jwt.ExpiredSignatureError:
            raise Refused("the token has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as exc:
            raise Refused("the token is not valid here") from exc
        return Proof(identity(claims, options.auth_claim, options.auth_roles_claim), expires)

    return verify


def identity(claims: dict[str, Any], name_claim: str, roles_claim: str) -> Identity:
    """Who the verified `claims` speak of. Raises Refused if they name nobody."""
    name = claims.get(name_claim)
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
        raise Refused("the token does not say who you are")
    roles = claims.get(roles_claim)
    if isinstance(roles, str):
        roles = roles.split()
    if not isinstance(roles, list):
        roles = []
    return Identity(name, claims, frozenset(role for role in roles if isinstance(role, str)))


def _public_key(file: Path) -> tuple[Any, str]:
    """The key in a PEM file, and the one algorithm it is for. Raises ConfigError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        text = file.read_bytes()
    except OSError as exc:
        raise ConfigError(f"auth_public_key: {file} cannot be read: {exc.strerror}") from exc
    if b"PRIVATE KEY" in text:
        raise ConfigError(f"auth_public_key: {file} is a private key: keep it where tokens are made")
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ConfigError(f"auth_public_key: {file} holds no public key in PEM") from exc
    if isinstance(key, Ed25519PublicKey):
        return key, "EdDSA"
    if not isinstance(key, RSAPublicKey):
        raise ConfigError(f"auth_public_key: {file} must be a key for RSA or Ed25519")
    if key.key_size < LEAST_RSA_BITS:
        raise ConfigError(f"auth_public_key: {file} has {key.key_size} bits, less than {LEAST_RSA_BITS}")
    return key, "RS256"
