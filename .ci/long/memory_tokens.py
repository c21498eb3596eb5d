"""An issuer for `memory`: one RSA key, made by openssl, and tokens that it signed."""

import base64
import hashlib
import json
import os
import re
import subprocess
import time

# DigestInfo of SHA-256 (RFC 8017, 9.2).
SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")


def encoded(value):
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def octets(number):
    """The shortest form of a number."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


class Issuer:
    """Signs tokens; its key set is in a file of `folder`."""

    url = "https://issuer.test"

    def __init__(self, folder):
        key = os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True, capture_output=True)
        shown = subprocess.run(["openssl", "asn1parse", "-in", key], check=True, capture_output=True, text=True)
        numbers = [int(number, 16) for number in re.findall(r"INTEGER\s+:([0-9A-F]+)", shown.stdout)]
        _, self.modulus, self.exponent, _, self.p, self.q, self.dp, self.dq, self.inverse = numbers
        self.keys = os.path.join(folder, "keys.json")
        jwk = {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": "1",
            "n": encoded(octets(self.modulus)),
            "e": encoded(octets(self.exponent)),
        }
        with open(self.keys, "w", encoding="utf-8") as file:
            json.dump({"keys": [jwk]}, file)

    def token(self, tenant, subject):
        """A token of a job of `tenant`."""
        head = {"alg": "RS256", "kid": "1", "typ": "JWT"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": "cache", "sub": subject, "repository_id": tenant, "iat": now, "exp": now + 3600}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
        return f"{text}.{encoded(self.sign(text.encode()))}"

    def sign(self, text):
        """RSASSA-PKCS1-v1_5, by the Chinese remainder theorem."""
        length = (self.modulus.bit_length() + 7) // 8
        tail = SHA256 + hashlib.sha256(text).digest()
        padded = b"\x00\x01" + b"\xff" * (length - 3 - len(tail)) + b"\x00" + tail
        number = int.from_bytes(padded, "big")
        one, two = pow(number, self.dp, self.p), pow(number, self.dq, self.q)
        return (two + (one - two) * self.inverse % self.p * self.q).to_bytes(length, "big")
