#!/usr/bin/env python3
"""What the clients of the Actions cache send, byte for byte, and what must come back; standard library only.

    wire.py all --url URL --keys DIR [--only TEXT] [--no-expiry] [--largest BYTES]
    wire.py before|after --url URL --keys DIR --note FILE

`all` runs the checks whose title holds TEXT. The server trusts the key of `tokens.py keys DIR`, has `limits.max_entry_size`
as --largest says, and `gha.link_lifetime: 1m` unless --no-expiry. `before` begins uploads and ends when the server
dies; `after` goes on with them.
"""

import argparse
import pathlib
import sys

sys.dont_write_bytecode = True

import checks_v1  # noqa: E402,F401  in the order in which they run
import checks_v2  # noqa: E402,F401
import checks_blob  # noqa: E402
import checks_clients  # noqa: E402,F401
import checks_restart  # noqa: E402
import suite  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["all", "before", "after"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--keys", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--no-expiry", action="store_true")
    parser.add_argument("--largest", type=int, default=1_000_000_000)
    parser.add_argument("--note", type=pathlib.Path)
    args = parser.parse_args()
    rig = suite.Rig(args.url.rstrip("/"), args.keys, args.largest)
    if args.command == "before":
        return checks_restart.before(rig, args.note)
    if args.command == "after":
        return 1 if checks_restart.after(rig, args.note) else 0
    if not args.no_expiry:
        suite.CHECKS.insert(0, ("links expire: one is made", checks_blob.begin_expiry))
        suite.CHECKS.append(("links expire: it has ended", checks_blob.end_expiry))
    return 1 if suite.run(rig, args.only) else 0


sys.exit(main())
