#!/usr/bin/env python3
"""Tokens as GitHub's runner has them, with any scopes; standard library only.

    tokens.py keys DIR                                          makes DIR/key.json and DIR/jwks.json
    tokens.py runtime DIR REPOSITORY SCOPE=PERMISSION... [--life SECONDS]
    tokens.py id DIR REPOSITORY REF [--life SECONDS]

`runtime` is what ACTIONS_RUNTIME_TOKEN holds (`ac`), `id` what a job asks for with `id-token: write`. The key
is made for one run and thrown away.
"""

import argparse
import base64
import hashlib
import json
import math
import os
import pathlib
import secrets
import sys
import time

ISSUER = "https://token.actions.githubusercontent.com"
AUDIENCE = "https://cache.example.com"
EXPONENT = 65537
SMALL = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2))]
# PKCS #1 v1.5: what stands before a SHA-256 digest (RFC 8017, 9.2).
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def is_prime(n):
    """Miller-Rabin, after the small primes."""
    if any(n % small == 0 for small in SMALL):
        return False
    twos = ((n - 1) & -(n - 1)).bit_length() - 1
    for _ in range(16):
        x = pow(secrets.randbelow(n - 3) + 2, (n - 1) >> twos, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime(bits):
    while True:
        # Both upper bits, so that the product of two has all its bits.
        n = secrets.randbits(bits) | 3 << bits - 2 | 1
        if math.gcd(n - 1, EXPONENT) == 1 and is_prime(n):
            return n


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n):
    return text(n.to_bytes((n.bit_length() + 7) // 8, "big"))


def make_keys(directory):
    p, q = prime(1024), prime(1024)
    n = p * q
    d = pow(EXPONENT, -1, math.lcm(p - 1, q - 1))
    directory.mkdir(parents=True, exist_ok=True)
    with open(os.open(directory / "key.json", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"n": n, "d": d}, file)
    key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "check", "n": number(n), "e": number(EXPONENT)}
    (directory / "jwks.json").write_text(json.dumps({"keys": [key]}))


class Signer:
    """Signs with the key that `tokens.py keys` has made."""

    def __init__(self, directory):
        key = json.loads((pathlib.Path(directory) / "key.json").read_text())
        self.n, self.d = key["n"], key["d"]

    def sign(self, claims):
        head = {"alg": "RS256", "typ": "JWT", "kid": "check"}
        message = ".".join(text(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
        digest = DIGEST_INFO + hashlib.sha256(message.encode()).digest()
        size = (self.n.bit_length() + 7) // 8
        block = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
        return message + "." + text(pow(int.from_bytes(block, "big"), self.d, self.n).to_bytes(size, "big"))

    def times(self, life):
        now = int(time.time())
        # A token that has expired was good once: its other times are in order.
        return {"iss": ISSUER, "aud": AUDIENCE, "iat": now - 7200, "nbf": now - 7200, "exp": now + life}

    def runtime(self, repository, *scopes, life=3600, **claims):
        """`scopes` are pairs of a ref and its permission: 1 reads, 2 writes, 3 both."""
        access = json.dumps([{"Scope": scope, "Permission": bits} for scope, bits in scopes], separators=(",", ":"))
        made = {"ac": access, "repository_id": str(repository), "scp": "Actions.Results:run:job"}
        # No two tokens of different jobs are alike.
        return self.sign(self.times(life) | {"jti": secrets.token_hex(8)} | made | claims)

    def identity(self, repository, ref, life=300, **claims):
        made = {"repository_id": str(repository), "ref": ref, "base_ref": "", "sub": f"repo:{repository}:ref:{ref}"}
        return self.sign(self.times(life) | {"jti": secrets.token_hex(8)} | made | claims)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["keys", "runtime", "id"])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("repository", nargs="?")
    parser.add_argument("scopes", nargs="*")
    parser.add_argument("--life", type=int, default=3600)
    args = parser.parse_args()
    if args.command == "keys":
        make_keys(args.directory)
        return 0
    signer = Signer(args.directory)
    if args.command == "id":
        print(signer.identity(args.repository, args.scopes[0], life=args.life))
        return 0
    pairs = [scope.rpartition("=") for scope in args.scopes]
    print(signer.runtime(args.repository, *((ref, int(bits)) for ref, _, bits in pairs), life=args.life))
    return 0


if __name__ == "__main__":
    sys.exit(main())
