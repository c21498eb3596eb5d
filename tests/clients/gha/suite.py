"""The list of checks, and what each gets: a server and tokens with every kind of rights."""

import time

from dialects import V1, Go, Json
from protobuf import Proto
from tokens import Signer
from web import Failed

MAIN, BRANCH, PULL = "refs/heads/main", "refs/heads/feature", "refs/pull/7/merge"
# Pairs of a title and what is run with a Rig.
CHECKS = []


def check(title):
    def keep(run):
        CHECKS.append((title, run))
        return run

    return keep


def table(prefix, rows, run):
    """One check for each row: a title, and what `run` gets after the rig."""
    for title, *row in rows:
        CHECKS.append((f"{prefix}: {title}", lambda rig, row=row: run(rig, *row)))


class Rig:
    """Where the server is, and who asks. `main` and `second` are jobs of the same branch, `globex` is another tenant."""

    def __init__(self, base, keys, largest):
        self.base, self.largest, self.begun = base, largest, time.monotonic()
        signer = self.signer = Signer(keys)
        self.main = signer.runtime(4242, (MAIN, 3))
        self.second = signer.runtime(4242, (MAIN, 3))
        self.globex = signer.runtime(7777, (MAIN, 3))
        self.reader = signer.runtime(4242, (MAIN, 1))
        self.writer = signer.runtime(4242, (MAIN, 2))
        self.branch = signer.runtime(4242, (BRANCH, 3), (MAIN, 1))
        self.pull = signer.runtime(4242, (PULL, 3), (MAIN, 1))
        self.expired = signer.runtime(4242, (MAIN, 3), life=-3600)
        self.identity = signer.identity(4242, MAIN)

    def v1(self, token=None, **how):
        return V1(self.base, token or self.main, **how)

    def json(self, token=None):
        return Json(self.base, token or self.main)

    def go(self, token=None):
        return Go(self.base, token or self.main)

    def proto(self, token=None):
        return Proto(self.base, token or self.main)

    def nobody(self, client):
        """The client without credentials."""
        made = client(self.base, None)
        return made


def run(rig, only=""):
    """Runs the checks whose title holds `only`; answers how many failed."""
    failed = ran = 0
    for title, run_one in CHECKS:
        if only and only not in title:
            continue
        ran += 1
        try:
            seen = run_one(rig)
        except Failed as error:
            failed += 1
            print(f"FAILED {title}: {error}", flush=True)
        except Exception as error:  # an answer that no check expected, such as a field that is not there
            failed += 1
            print(f"FAILED {title}: {type(error).__name__} {error}", flush=True)
        else:
            print(f"ok     {title}" + (f": {seen}" if seen else ""), flush=True)
    print(f"{ran - failed} of {ran} checks passed", flush=True)
    return failed or not ran
