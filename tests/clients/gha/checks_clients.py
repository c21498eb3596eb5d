"""Whole sequences of calls as BuildKit, sccache and the toolkit make them."""

import hashlib
import re
import secrets
import threading

from dialects import GO_VERSION, fresh, get, go_refusal, ids, pieces, put_blob, put_block, put_list
from suite import BRANCH, MAIN, check, table
from web import Failed, expect, holds, parallel, same, status

MIB = 1 << 20
CHUNK = 32 * MIB


class Exists(Exception):
    """What os.ErrExist is for go-actions-cache: BuildKit goes on after it, and after nothing else."""


class GoCache:
    """go-actions-cache with one of its two generations."""

    def __init__(self, rig, generation, token=None):
        self.rig, self.generation = rig, generation
        self.v1, self.v2 = rig.v1(token, agent="go-actions-cache/1.0"), rig.go(token)

    def load(self, key):
        """(stored key, link), or None."""
        if self.generation == 2:
            return self.v2.find(key, GO_VERSION)
        found = self.v1.find([key], GO_VERSION)
        return found and (found["cacheKey"], found["archiveLocation"])

    def reserve(self, key):
        answer = self.v2.create(key, GO_VERSION) if self.generation == 2 else self.v1.reserve(key, GO_VERSION)
        if answer.status // 100 != 2:
            if go_refusal(answer):
                raise Exists
            raise Failed(f"the export fails: {answer}")
        said = answer.json()
        if self.generation == 1:
            # The field's tag is cacheID; Go compares it without case, and takes 0 for a failure.
            number = next((value for field, value in said.items() if field.lower() == "cacheid"), 0)
            holds("cacheID", isinstance(number, int) and number > 0, answer)
            return number
        holds("ok", said["ok"], answer)
        return said["signed_upload_url"]

    def upload(self, place, data):
        if self.generation == 1:
            parts = [(nth * CHUNK, part) for nth, part in enumerate(pieces(data, CHUNK))]
            parallel([lambda at=at, part=part: status(self.v1.patch(place, at, part, False), 2) for at, part in parts], 4)
        elif len(data) < MIB:
            holds("x-ms-request-id, or Go panics", status(put_blob(place, data, "go"), 201).header("x-ms-request-id"))
        else:
            parts = pieces(data, MIB)
            names = ids("go", len(parts))
            for block, part in zip(names, parts):
                status(put_block(place, block, part, "go"), 201)
            holds("x-ms-request-id, or Go panics", status(put_list(place, names, "go"), 201).header("x-ms-request-id"))

    def commit(self, key, place, size):
        if self.generation == 1:
            status(self.v1.commit(place, size), 2)
            return
        said = status(self.v2.finish(key, GO_VERSION, size), 200).json()
        holds("ok, and entry_id is a text", said["ok"] and isinstance(said["entry_id"], str), said)

    def save(self, key, data):
        place = self.reserve(key)
        self.upload(place, data)
        self.commit(key, place, len(data))

    def read(self, link, offset=0):
        """What a reader at an offset gets."""
        if not offset:
            return status(get(link), 200).body
        if self.generation == 2:
            return status(get(link, x_ms_range=f"bytes={offset}-"), 200, 206).body
        answer = status(get(link, Range=f"bytes={offset}-"), 2)
        holds("Content-Range", (answer.header("content-range") or "").startswith(f"bytes {offset}-"), answer)
        return answer.body

    def next_index(self, key, data):
        """One round of SaveMutable; answers the number that was written."""
        found = self.load(key + "#")
        number = int(found[0].removeprefix(key + "#")) + 1 if found else 1
        self.save(f"{key}#{number}", data)
        return number


def buildkit(rig, generation):
    """An export and an import of layers and the index, and a second export of the same."""
    layers = {f"buildkit-blob-1-sha256:{secrets.token_hex(32)}": secrets.token_bytes(size) for size in (700, 200_000, 3 * MIB + 5)}
    scope = hashlib.sha256(MAIN.encode()).hexdigest()[:8]
    index = f"index-{fresh('buildkit')}-1-{scope}"
    job = GoCache(rig, generation)
    for key, data in layers.items():
        expect("before the export", job.load(key), None)
        job.save(key, data)
    expect("the first index", job.next_index(index, b"index one"), 1)
    other = GoCache(rig, generation, rig.second)
    same("the index", other.read(other.load(index)[1]), b"index one")
    for key, data in layers.items():
        found = other.load(key)
        expect("the stored key", found[0], key)
        same("a layer", other.read(found[1]), data)
        same("a layer from an offset", other.read(found[1], len(data) // 3), data[len(data) // 3 :])
        try:
            other.reserve(key)
        except Exists:
            continue
        raise Failed("a second export of the same layer is not told that it exists")
    expect("the second index", other.next_index(index, b"index two"), 2)
    same("the newest index", job.read(job.load(index)[1]), b"index two")


def mutable(rig, generation):
    """Numbers of the index beyond nine, and the newest always wins."""
    key, job = "index-" + fresh(), GoCache(rig, generation)
    for nth in range(1, 13):
        expect("the number", job.next_index(key, b"%d" % nth), nth)
        expect("the newest", job.load(key + "#")[0], f"{key}#{nth}")


def contended(rig, generation):
    """Two jobs want the same number: one gets it, the other one goes on after it."""
    key = "index-" + fresh()
    first, second = GoCache(rig, generation), GoCache(rig, generation, rig.second)
    place = first.reserve(f"{key}#1")
    try:
        second.reserve(f"{key}#1")
        raise Failed("both jobs got number 1")
    except Exists:
        pass
    expect("hidden until the commit", second.load(key + "#"), None)
    first.upload(place, b"one")
    first.commit(f"{key}#1", place, 3)
    expect("the next number", second.next_index(key, b"two"), 2)
    # A job that has died keeps its number; the others skip it.
    first.reserve(f"{key}#3")
    try:
        second.reserve(f"{key}#3")
        raise Failed("the number of a running upload was given away")
    except Exists:
        second.save(f"{key}#4", b"four")
    same("the newest", first.read(first.load(key + "#")[1]), b"four")


def race(rig, generation):
    """Eight jobs reserve one key at the same moment: exactly one may."""
    key, barrier = fresh("buildkit-blob"), threading.Barrier(8)
    tokens = [rig.signer.runtime(4242, (MAIN, 3)) for _ in range(8)]

    def one(token):
        job = GoCache(rig, generation, token)
        barrier.wait(20)
        try:
            return job, job.reserve(key)
        except Exists:
            return None

    winners = [found for found in parallel([lambda token=token: one(token) for token in tokens], 8) if found]
    expect("jobs that may upload", len(winners), 1)
    job, place = winners[0]
    job.upload(place, b"won")
    job.commit(key, place, 3)
    same("download", job.read(job.load(key)[1]), b"won")


def branches(rig, generation):
    """The importer asks for the index of each scope; a branch exports into its own, although main has the layer."""
    key = fresh("buildkit-blob")
    GoCache(rig, generation).save(key, b"main's layer")
    job = GoCache(rig, generation, rig.branch)
    same("main's layer", job.read(job.load(key)[1]), b"main's layer")
    job.save(key, b"the branch's")
    for scope in (MAIN, BRANCH):
        expect("no index", job.load(f"index-{key}-1-{hashlib.sha256(scope.encode()).hexdigest()[:8]}"), None)


for title, run in (
    ("export, import, export again", buildkit), ("indexes from 1 to 12", mutable), ("two jobs want the same index", contended),
    ("eight jobs reserve one key at once", race), ("a branch beside main", branches),
):
    table(title, [("BuildKit v1", 1), ("BuildKit v2", 2)], run)


@check("BuildKit v1: 70 MB in chunks of 32 MiB, 4 parallel")
def _(rig):
    job, key, data = GoCache(rig, 1), fresh(), secrets.token_bytes(70_000_000)
    job.save(key, data)
    same("download", job.read(job.load(key)[1]), data)


@check("sccache: its probe, which exists from the second start on")
def _(rig):
    key = f"sccache-{secrets.token_hex(4)}/.sccache_check"
    for client in (rig.proto(), rig.proto(rig.second)):
        found = client.find(key, "v")
        if found:
            same("the probe", get(found[1]).body, b"Hello, World!")
        answer = client.create(key, "v")
        if answer.status == 409:
            continue
        status(put_blob(client.read(answer)[2], b"Hello, World!", "opendal"), 201)
        client.finished(key, "v", 13)
    expect("there", bool(rig.proto(rig.reader).find(key, "v")), True)


def small_entries(rig, count, threads):
    """As many object files as a build has, at once: create, Put Blob, finalize, find, read."""
    prefix, name = fresh("sccache"), "v"
    contents = {f"{prefix}/{n % 16:x}/{secrets.token_hex(8)}": secrets.token_bytes(1 + n * 37 % 9000) for n in range(count)}

    def store(key, data):
        client = rig.proto()
        status(put_blob(client.begin(key, name), data, "opendal"), 201)
        client.finished(key, name, len(data))

    def load(key, data):
        matched, url = rig.proto(rig.second).find(key, name)
        expect("matched", matched, key)
        same("an object", get(url).body, data)

    parallel([lambda pair=pair: store(*pair) for pair in contents.items()], threads)
    parallel([lambda pair=pair: load(*pair) for pair in contents.items()], threads)
    expect("another tenant", rig.proto(rig.globex).find(next(iter(contents)), name), None)


table("sccache", [("300 objects, 16 at once", 300, 16)], small_entries)


@check("the toolkit v1: 4 parallel chunks without a length, beside four other saves")
def _(rig):
    def save(nth):
        key, name, data = fresh(), f"v{nth}", secrets.token_bytes(6 * MIB + nth)
        number = rig.v1().begin(key, name, len(data))
        parts = [(at * MIB, part) for at, part in enumerate(pieces(data, MIB))]
        parallel([lambda at=at, part=part: status(rig.v1().patch(number, at, part), 2) for at, part in parts], 4)
        status(rig.v1().commit(number, len(data)), 2)
        same("download", get(rig.v1().find([key], name)["archiveLocation"]).body, data)

    parallel([lambda nth=nth: save(nth) for nth in range(4)], 4)


@check("links: three segments, because the SDKs take the first one of an IP address for an account")
def _(rig):
    key = fresh()
    rig.json().save(key, "v", b"x")
    for url in (rig.json().find(key, "v")[1], rig.v1().find([key], "v")["archiveLocation"], rig.json().begin(fresh(), "v")):
        holds("account, container and blob", re.fullmatch(r"https?://[^/]+(/[^/?]+){3,}\?.+", url), url.split("?")[0])
