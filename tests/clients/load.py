#!/usr/bin/env python3
"""Many concurrent writers and readers with bodies that prove themselves; standard library only.

    load.py write --url URL --token FILE --keys N [--min 1] [--max 2000000] [--threads 16]
                  [--total BYTES] [--acks FILE] [--seed N] [--until-refused]
    load.py verify --url URL --token FILE --keys N [--acks FILE]

A body ends with the SHA-256 of what is before it and of its key, so any body that comes back can be
judged alone: is it whole, and is it the one of this key? `write` ends when --total bytes were sent, or
when the server is gone; each acknowledged key is added to --acks. `verify` reads all keys, prints
`READABLE MISSING`, and fails on a body that is not whole; with --acks also on an acknowledged key that
is missing.
"""

import argparse
import hashlib
import http.client
import random
import sys
import threading
import urllib.parse

DIGEST = 32
FILLER = random.Random(0).randbytes(8 << 20)


def body(key, size, salt):
    """`size` bytes: a part of the filler that `salt` chooses, and the digest (cut, if there is no room)."""
    room = max(0, size - DIGEST)
    start = salt % (len(FILLER) - room)
    data = FILLER[start : start + room]
    return data + seal(key, data)[: size - room]


def seal(key, data):
    return hashlib.sha256(key.encode() + b"\0" + data).digest()


def is_whole(key, data):
    if len(data) >= DIGEST:
        return seal(key, data[:-DIGEST]) == data[-DIGEST:]
    return seal(key, b"")[: len(data)] == data


class Client:
    """One connection that is opened anew when the server has closed it."""

    def __init__(self, args):
        url = urllib.parse.urlsplit(args.url)
        self.address = (url.hostname, url.port)
        self.token = open(args.token).read().strip()
        self.connection = None

    def ask(self, method, key, data=None):
        for attempt in (1, 2):
            fresh = self.connection is None
            if fresh:
                self.connection = http.client.HTTPConnection(*self.address, timeout=60)
            try:
                self.connection.request(method, "/load/" + key, data, {"Authorization": "Bearer " + self.token})
                answer = self.connection.getresponse()
                content = answer.read()
                if answer.will_close:
                    self.close()
                return answer.status, content
            except (OSError, http.client.HTTPException):
                self.close()
                # An idle connection may have been closed meanwhile; a fresh one tells the truth.
                if fresh or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Counts:
    def __init__(self, args):
        self.lock = threading.Lock()
        self.sent = self.stored = 0
        self.statuses = {}
        self.gone = False
        self.acks = open(args.acks, "a") if args.acks else None

    def stored_one(self, key, status, size):
        with self.lock:
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self.sent += size
            if 200 <= status < 300:
                self.stored += 1
                if self.acks:
                    self.acks.write(key + "\n")
                    self.acks.flush()


def write(args):
    counts = Counts(args)

    def work(number):
        choice = random.Random(args.seed * 1000 + number)
        client = Client(args)
        while counts.sent < args.total and not counts.gone:
            key = "k%d" % choice.randrange(args.keys)
            # Sizes over the whole range: as many below 1 KB as above 100 KB.
            size = min(args.max, max(args.min, int(2 ** choice.uniform(0, args.max.bit_length()))))
            data = body(key, size, choice.getrandbits(40))
            try:
                status, _ = client.ask("PUT", key, data)
            except (OSError, http.client.HTTPException):
                counts.gone = True
                break
            counts.stored_one(key, status, size)
            if args.until_refused and status == 507:
                break

    run(work, args.threads)
    print("sent", counts.sent, "stored", counts.stored, "statuses", counts.statuses, "gone", counts.gone)
    return 0


def verify(args):
    acked = set(open(args.acks).read().split()) if args.acks else set()
    bad, missing, readable = [], [], []
    keys = ["k%d" % number for number in range(args.keys)]

    def work(number):
        client = Client(args)
        for key in keys[number :: args.threads]:
            status, data = client.ask("GET", key)
            if status == 404:
                missing.append(key)
            elif status == 200 and is_whole(key, data):
                readable.append(key)
            else:
                bad.append("%s: status %d, %d bytes" % (key, status, len(data)))

    failures = run(work, args.threads)
    lost = sorted(acked.intersection(missing))
    print(len(readable), len(missing))
    for line in bad[:10]:
        print("not whole:", line, file=sys.stderr)
    if lost:
        print("acknowledged, but missing:", len(lost), lost[:10], file=sys.stderr)
    for failure in failures:
        print("failed:", failure, file=sys.stderr)
    return 1 if bad or lost or failures else 0


def run(work, threads):
    failures = []

    def guarded(number):
        try:
            work(number)
        except Exception as error:  # told by the caller
            failures.append(repr(error))

    pool = [threading.Thread(target=guarded, args=(number,)) for number in range(threads)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["write", "verify"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--keys", type=int, required=True)
    parser.add_argument("--min", type=int, default=1)
    parser.add_argument("--max", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--total", type=int, default=1 << 62)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--acks")
    parser.add_argument("--until-refused", action="store_true")
    args = parser.parse_args()
    return {"write": write, "verify": verify}[args.command](args)


sys.exit(main())
