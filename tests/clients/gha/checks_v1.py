"""The first generation: look-ups, uploads in ranges, errors."""

import datetime
import secrets
import urllib.parse

from dialects import V1, fresh, get, go_refusal, pieces, quoted, version
from suite import check, table
from web import Failed, anew, ask, connect, cut_off, expect, holds, parallel, same, status


def message(answer, *wanted):
    """A refusal that the toolkit can show."""
    said = status(answer, *wanted).json().get("message")
    holds("a message for the client", isinstance(said, str) and said, answer)
    return said


@check("v1 look-up: a miss is 204 without a body")
def _(rig):
    expect("found", rig.v1().find([fresh()], version()), None)


@check("v1 look-up: a hit has a location, the stored key, the version and an ISO time")
def _(rig):
    key, name = fresh(), version()
    rig.v1().save(key, name, b"some bytes")
    found = rig.v1().find([key], name)
    expect("cacheKey", found["cacheKey"], key)
    expect("cacheVersion", found["cacheVersion"], name)
    datetime.datetime.fromisoformat(found["creationTime"].replace("Z", "+00:00"))
    same("download", get(found["archiveLocation"]).body, b"some bytes")


@check("v1 look-up: one key with a raw slash (OpenDAL)")
def _(rig):
    key, name = "sccache/" + fresh(), "a version that is no digest"
    rig.v1().save(key, name, b"x")
    query = f"keys={key}&version={quoted(name)}"
    expect("cacheKey", rig.v1().find([key], name, query=query)["cacheKey"], key)


@check("v1 look-up: the query as Go writes it (a space is a plus)")
def _(rig):
    key, name = fresh("index-my scope-1"), version()
    rig.v1().save(key, name, b"x")
    query = urllib.parse.urlencode({"keys": key, "version": name})
    expect("cacheKey", rig.v1().find([key], name, query=query)["cacheKey"], key)


KEYS = [("a plus", "c++-{}"), ("spaces and signs", "a b#|%_*?&= {}"), ("umlauts", "schlüssel-{}"),
        ("an emoji", "\U0001f600-{}"), ("percent signs", "%2F%25-{}"), ("dots and slashes", "../{}/..//x")]


def odd_key(rig, pattern):
    key, name = pattern.format(secrets.token_hex(4)), version()
    rig.v1().save(key, name, b"x")
    expect("cacheKey", rig.v1().find([key], name)["cacheKey"], key)
    expect("the same through v2", rig.json().find(key, name)[0], key)


table("v1 and v2 keys are what the client sent", KEYS, odd_key)


@check("v1 look-up: the primary key as a prefix, the newest first")
def _(rig):
    key, name = fresh(), version()
    for nth in (3, 1, 2):
        rig.v1().save(f"{key}-{nth}", name, b"%d" % nth)
    found = rig.v1().find([key], name)
    expect("newest by commit", found["cacheKey"], f"{key}-2")
    same("its bytes", get(found["archiveLocation"]).body, b"2")


@check("v1 look-up: exact before a newer prefix")
def _(rig):
    key, name = fresh(), version()
    rig.v1().save(key, name, b"exact")
    rig.v1().save(key + "-newer", name, b"newer")
    expect("cacheKey", rig.v1().find([key], name)["cacheKey"], key)


@check("v1 look-up: ten keys, in their order")
def _(rig):
    key, name = fresh(), version()
    rig.v1().save(key + "-old", name, b"x")
    rig.v1().save(key + "-new", name, b"x")
    missing = [fresh() for _ in range(7)]
    expect("cacheKey", rig.v1().find([*missing, key + "-o", key + "-n", key], name)["cacheKey"], key + "-old")


@check("v1 look-up: another version, an underscore or a percent sign match nothing else")
def _(rig):
    key, name = fresh(), version()
    rig.v1().save(key + "axb", name, b"x")
    for keys, asked in (([key + "axb"], version()), ([key + "a_b"], name), ([key + "%"], name), ([key + "*"], name)):
        expect(f"found with {keys[0][-3:]}", rig.v1().find(keys, asked), None)


@check("v1 look-up: more slashes in front of the path (a base with its slash, and one added)")
def _(rig):
    answer = ask("GET", rig.base + "/" + rig.v1().url(f"cache?keys={fresh()}&version=v")[len(rig.base):], rig.v1().headers)
    status(answer, 204)


@check("v1 tenants: nothing is seen from another one, by key, prefix or list")
def _(rig):
    key, name = fresh(), version()
    rig.v1().save(key, name, b"x")
    for keys in ([key], [key[:5]], [fresh(), key]):
        expect("found", rig.v1(rig.globex).find(keys, name), None)
    listed = status(ask("GET", rig.v1().url(f"caches?key={key[:5]}"), rig.v1(rig.globex).headers), 200).json()
    holds("listed", key not in str(listed), listed)


@check("v1 list: entries of the token by prefix, or an empty list")
def _(rig):
    key, name = fresh(), version()
    rig.v1().save(key, name, b"x")
    listed = status(ask("GET", rig.v1().url(f"caches?key={key}"), rig.v1().headers), 200).json()
    expect("count and list", listed["totalCount"] >= len(listed["artifactCaches"]), True)
    for entry in listed["artifactCaches"]:
        expect("cacheKey", entry["cacheKey"], key)
    return f"{len(listed['artifactCaches'])} listed"


@check("v1 scopes: a branch reads main's entry, and its own first")
def _(rig):
    key, name = fresh(), version()
    rig.v1().save(key, name, b"main")
    same("fallback", get(rig.v1(rig.branch).find([key], name)["archiveLocation"]).body, b"main")
    rig.v1(rig.branch).save(key, name, b"branch")
    same("own", get(rig.v1(rig.branch).find([key], name)["archiveLocation"]).body, b"branch")
    same("main's", get(rig.v1().find([key], name)["archiveLocation"]).body, b"main")


@check("v1 scopes: a pull request cannot write to main, nor to a branch")
def _(rig):
    key, name = fresh(), version()
    rig.v1(rig.pull).save(key, name, b"pull")
    expect("seen from main", rig.v1().find([key], name), None)
    expect("seen from a branch", rig.v1(rig.branch).find([key], name), None)
    same("own", get(rig.v1(rig.pull).find([key], name)["archiveLocation"]).body, b"pull")


@check("v1 rights: a token that may only read is told `cache write denied:`")
def _(rig):
    said = message(rig.v1(rig.reader).reserve(fresh(), version()), 403)
    holds("the message", said.startswith("cache write denied:"), said)


@check("v1 rights: a token that may only write is told `cache read denied:`")
def _(rig):
    said = message(rig.v1(rig.writer).look([fresh()], version()), 403)
    holds("the message", "cache read denied:" in said, said)


@check("v1 rights: an ID token works, too")
def _(rig):
    key, name = fresh(), version()
    rig.v1(rig.identity).save(key, name, b"id")
    same("own", get(rig.v1(rig.identity).find([key], name)["archiveLocation"]).body, b"id")


def refused(rig, headers):
    for method, path in (("GET", "cache?keys=k&version=v"), ("POST", "caches"), ("POST", "caches/1"), ("PATCH", "caches/1")):
        answer = ask(method, rig.v1().url(path), rig.nobody(V1).headers | headers, b"{}" if method != "GET" else None)
        message(answer, 401)


table("v1 credentials: 401 with a message", [
    ("none", {}), ("no token at all", {"Authorization": "Bearer x"}),
    ("no signature", {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."}),
], refused)


@check("v1 credentials: 401 with a message: expired")
def _(rig):
    message(rig.v1(rig.expired).look(["k"], "v"), 401)
    message(rig.v1(rig.expired).reserve(fresh(), version()), 401)


def wrong(rig, method, path, body, *wanted):
    answer = ask(method, rig.v1().url(path), rig.v1().headers | {"Content-Type": "application/json"}, body)
    message(answer, *wanted)
    if answer.status == 405:
        holds("Allow", answer.header("allow"), answer)


table("v1 errors: JSON with a message", [
    ("unknown route", "GET", "nothing/here", None, 404),
    ("wrong method", "DELETE", "cache?keys=k&version=v", None, 405),
    ("no keys", "GET", "cache?version=v", None, 400),
    ("no version", "GET", "cache?keys=k", None, 400),
    ("no JSON", "POST", "caches", b"{", 400),
    ("no key", "POST", "caches", b'{"version": "v"}', 400),
    ("a key of 513", "POST", "caches", b'{"key": "%s", "version": "v"}' % (b"k" * 513), 400),
    ("a comma", "POST", "caches", b'{"key": "a,b", "version": "v"}', 400),
    ("a body of 100 KB", "POST", "caches", b'{"key": "k", "version": "v", "x": "%s"}' % (b"x" * 100_000), 400, 413),
    ("an upload that is no number", "POST", "caches/abc", b'{"size": 1}', 404),
    ("an unknown upload", "POST", "caches/123456789", b'{"size": 1}', 404),
], wrong)


@check("v1 reserve: a key of 512 characters, also of three bytes each")
def _(rig):
    for key in (fresh().ljust(512, "k"), fresh().ljust(30, "k") + "\u4e2d" * 482):
        name = version()
        rig.v1().save(key, name, b"x")
        expect("cacheKey", rig.v1().find([key], name)["cacheKey"], key)


@check("v1 reserve: too large is 400 with the numbers")
def _(rig):
    said = message(rig.v1().reserve(fresh(), version(), rig.largest + 1), 400)
    holds("a number in the message", any(letter.isdigit() for letter in said), said)


@check("v1 reserve: an entry that exists is 409 as Go and the toolkit know it")
def _(rig):
    key, name = fresh(), version()
    rig.v1().save(key, name, b"x")
    for token in (rig.main, rig.second):
        answer = status(rig.v1(token).reserve(key, name), 409)
        expect("typeKey", answer.json()["typeKey"], "ArtifactCacheItemAlreadyExistsException")
        holds("exists for Go", go_refusal(answer), answer)


@check("v1 reserve: an upload that runs is 409 for everybody, one that was left behind gives way to the same token")
def _(rig):
    key, name = fresh(), version()
    first = rig.v1().begin(key, name)
    for token in (rig.main, rig.second):
        holds("exists for Go", go_refusal(status(rig.v1(token).reserve(key, name), 409)))
    status(rig.v1().patch(first, 0, b"old"), 2)
    holds("exists for Go", go_refusal(status(rig.v1().reserve(key, name), 409)))
    second = anew(lambda: rig.v1().reserve(key, name), 409).json()["cacheId"]
    status(rig.v1().patch(first, 0, b"old"), 404, 409)
    status(rig.v1().patch(second, 0, b"new"), 2)
    status(rig.v1().commit(second, 3), 2)
    same("download", get(rig.v1().find([key], name)["archiveLocation"]).body, b"new")


@check("v1 immutability: a commit and an upload after the end change nothing")
def _(rig):
    key, name = fresh(), version()
    number = rig.v1().save(key, name, b"first")
    status(rig.v1().patch(number, 0, b"other"), 4)
    status(rig.v1().commit(number, 5), 2, 404, 409)
    same("download", get(rig.v1().find([key], name)["archiveLocation"]).body, b"first")


def ranges(rig, size, chunk, threads, chunked, order):
    """Uploads in pieces of `chunk` on so many threads; `order` sorts the pieces."""
    key, name, data = fresh(), version(), secrets.token_bytes(size)
    number = rig.v1().begin(key, name, size)
    parts = order([(nth * chunk, part) for nth, part in enumerate(pieces(data, chunk))])
    parallel([lambda at=at, part=part: status(rig.v1().patch(number, at, part, chunked), 2) for at, part in parts], threads)
    expect("before the commit", rig.v1().find([key], name), None)
    status(rig.v1().commit(number, size), 2)
    same("download", get(rig.v1().find([key], name)["archiveLocation"]).body, data)


MIB = 1 << 20
table("v1 upload", [
    ("chunks without a length, 4 parallel", 9 * MIB + 17, 2 * MIB, 4, True, list),
    ("with a length, 4 parallel (Go)", 9 * MIB + 17, 2 * MIB, 4, False, list),
    ("from the last to the first", 5 * MIB + 1, MIB, 1, True, lambda parts: parts[::-1]),
    ("the first last, 8 parallel", 5 * MIB, MIB // 2, 8, False, lambda parts: parts[1:] + parts[:1]),
    ("one byte", 1, MIB, 1, True, list),
    ("64 KiB and one byte", 65537, MIB, 1, True, list),
    ("500 small ones over 4 threads", 50_000, 100, 4, False, list),
], ranges)


@check("v1 upload: unequal sizes over one connection (OpenDAL)")
def _(rig):
    key, name, data = fresh(), version(), secrets.token_bytes(300_000)
    number, at, connection = rig.v1().begin(key, name), 0, connect(rig.base)
    for size in (1, 65536, 7, 100_000, 4096, 130_360):
        status(rig.v1().patch(number, at, data[at : at + size], False, connection=connection), 2)
        at += size
    connection.close()
    status(rig.v1().commit(number, at), 2)
    same("download", get(rig.v1().find([key], name)["archiveLocation"]).body, data)


@check("v1 upload: an empty archive has no PATCH")
def _(rig):
    key, name = fresh(), version()
    rig.v1().save(key, name, b"")
    answer = status(get(rig.v1().find([key], name)["archiveLocation"]), 200)
    expect("Content-Length", answer.header("content-length"), "0")


def steps(rig, parts, size, wanted):
    """Sends ranges one after the other; `wanted` is what a commit of `size` must give, or None for a refusal."""
    key, name = fresh(), version()
    number = rig.v1().begin(key, name)
    for at, data in parts:
        status(rig.v1().patch(number, at, data), 2)
    if wanted is None:
        message(rig.v1().commit(number, size), 400)
        expect("after the refusal", rig.v1().find([key], name), None)
        return
    status(rig.v1().commit(number, size), 2)
    status(rig.v1().commit(number, size), 2)
    same("download", get(rig.v1().find([key], name)["archiveLocation"]).body, wanted)


table("v1 ranges", [
    ("the same one twice", [(0, b"aaaa"), (4, b"bbbb"), (0, b"aaaa")], 8, b"aaaabbbb"),
    ("again with other bytes: the last wins", [(0, b"aaaa"), (4, b"bbbb"), (0, b"cccc")], 8, b"ccccbbbb"),
    ("an overlap: the later wins", [(0, b"aaaaaa"), (4, b"bbbb")], 8, b"aaaabbbb"),
    ("an overlap to the left", [(4, b"bbbb"), (0, b"aaaaaa")], 8, b"aaaaaabb"),
    ("one inside of another", [(0, b"aaaaaaaa"), (2, b"bb")], 8, b"aabbaaaa"),
    ("a hole", [(0, b"aaaa"), (5, b"bbb")], 8, None),
    ("the beginning is missing", [(1, b"aaaaaaa")], 8, None),
    ("the end is missing", [(0, b"aaaa")], 8, None),
    ("more than the commit says", [(0, b"aaaaaaaa")], 4, None),
    ("nothing at all", [], 8, None),
], steps)


@check("v1 ranges: a refused commit can be completed")
def _(rig):
    key, name = fresh(), version()
    number = rig.v1().begin(key, name)
    status(rig.v1().patch(number, 4, b"bbbb"), 2)
    status(rig.v1().commit(number, 8), 400)
    status(rig.v1().patch(number, 0, b"aaaa"), 2)
    status(rig.v1().commit(number, 8), 2)
    same("download", get(rig.v1().find([key], name)["archiveLocation"]).body, b"aaaabbbb")


def spread(rig, text, data):
    """A Content-Range that does not fit; the right one afterwards is taken."""
    key, name = fresh(), version()
    number = rig.v1().begin(key, name)
    for chunked in (False, True):
        answer = rig.v1().patch(number, 0, data, chunked, spread=text)
        message(answer, 400)
    expect("nothing has arrived", rig.v1().commit(number, len(data)).status, 400)
    status(rig.v1().patch(number, 0, data), 2)
    status(rig.v1().commit(number, len(data)), 2)
    same("download", get(rig.v1().find([key], name)["archiveLocation"]).body, data)


table("v1 Content-Range", [
    ("longer than the body", "bytes 0-9/*", b"aaaa"), ("shorter than the body", "bytes 0-1/*", b"aaaa"),
    ("backwards", "bytes 3-0/*", b"aaaa"), ("no range", "bytes */4", b"aaaa"), ("no bytes", "items 0-3/*", b"aaaa"),
    ("no numbers", "bytes a-b/*", b"aaaa"), ("beyond all numbers", "bytes 0-99999999999999999999999/*", b"aaaa"),
], spread)


@check("v1 faults: a body that is cut off never arrives, the retry does")
def _(rig):
    key, name, data = fresh(), version(), secrets.token_bytes(300_000)
    number = rig.v1().begin(key, name)
    headers = rig.v1().headers | {"Content-Range": f"bytes 0-{len(data) - 1}/*"}
    cut_off("PATCH", rig.v1().url(f"caches/{number}"), headers, len(data), data[:200_000])
    status(rig.v1().commit(number, len(data)), 400)
    status(rig.v1().patch(number, 0, data), 2)
    status(rig.v1().commit(number, len(data)), 2)
    same("download", get(rig.v1().find([key], name)["archiveLocation"]).body, data)


@check("v1 tenants: nobody else's upload can be changed or committed, nor by another branch")
def _(rig):
    key, name = fresh(), version()
    number = rig.v1().begin(key, name)
    status(rig.v1().patch(number, 0, b"mine"), 2)
    for token in (rig.globex, rig.branch, rig.pull):
        message(rig.v1(token).patch(number, 0, b"evil"), 404)
        message(rig.v1(token).commit(number, 4), 404)
    # A token of the same branch that may only read is of the same namespace, so it may be told why.
    status(rig.v1(rig.reader).patch(number, 0, b"evil"), 403, 404)
    status(rig.v1().commit(number, 4), 2)
    same("download", get(rig.v1().find([key], name)["archiveLocation"]).body, b"mine")
    for near in (number + 1, number - 1):
        if near > 0:
            status(rig.v1().commit(near, 4), 404)


@check("v1 uploads cannot be guessed: their numbers are far apart")
def _(rig):
    numbers = sorted(rig.v1().begin(fresh(), version()) for _ in range(8))
    gaps = [later - former for former, later in zip(numbers, numbers[1:])]
    if min(gaps) < 1000:
        raise Failed(f"the numbers are {gaps} apart")
