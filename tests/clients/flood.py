#!/usr/bin/env python3
"""Many readers of one entry at the same moment; standard library only.

    flood.py --url URL --token FILE --expect FILE [--readers 100]

Every reader has a connection of its own and compares what it gets with the file. Prints the seconds until
the first and the last of them had everything, and ends with 1 if an answer was not 200 with these bytes.
"""

import argparse
import http.client
import sys
import threading
import time
import urllib.parse

PIECE = 1 << 20


def read(url, token, expected):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request("GET", url.path, headers={"Authorization": "Bearer " + token})
    answer = connection.getresponse()
    if answer.status != 200:
        return "status %d" % answer.status
    at, piece = 0, bytearray(PIECE)
    while count := answer.readinto(piece):
        if piece[:count] != expected[at : at + count]:
            return "other bytes after byte %d" % at
        at += count
    connection.close()
    return None if at == len(expected) else "%d of %d bytes" % (at, len(expected))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("url", "token", "expect"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--readers", type=int, default=100)
    args = parser.parse_args()
    url, token = urllib.parse.urlsplit(args.url), open(args.token).read().strip()
    expected = memoryview(open(args.expect, "rb").read())
    together, ends, faults = threading.Barrier(args.readers), [], []

    def work():
        together.wait()
        try:
            fault = read(url, token, expected)
        except (OSError, http.client.HTTPException) as error:
            fault = repr(error)
        ends.append(time.monotonic())
        if fault:
            faults.append(fault)

    begin = time.monotonic()
    readers = [threading.Thread(target=work) for _ in range(args.readers)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    print("%.1f %.1f" % (min(ends) - begin, max(ends) - begin))
    for fault in sorted(set(faults)):
        print(fault, "from", faults.count(fault), "readers", file=sys.stderr)
    return 1 if faults else 0


sys.exit(main())
