"""The second generation: the three methods as JSON and as protobuf, and Twirp's errors."""

import json

import protobuf
from dialects import SERVICE, Json, fresh, get, go_refusal, put_blob, version
from protobuf import Proto, encode
from suite import check, table
from web import Failed, anew, ask, expect, holds, same, status

METHODS = (protobuf.LOOK, protobuf.CREATE, protobuf.FINISH)


def twirp(answer, code, *wanted):
    """A refusal as Twirp has it: JSON, whatever the request was."""
    status(answer, *wanted)
    holds("application/json", (answer.header("content-type") or "").startswith("application/json"), answer)
    said = answer.json()
    expect("code", said.get("code"), code)
    holds("msg", isinstance(said.get("msg"), str) and said["msg"], answer)
    return said["msg"]


@check("v2 JSON: a miss is 200 with all fields in snake case")
def _(rig):
    answer = status(rig.json().look(fresh(), version()), 200)
    expect("the body", answer.json(), {"ok": False, "signed_download_url": "", "matched_key": ""})


@check("v2 JSON: create, Put Blob, finalize, find, download")
def _(rig):
    key, name, data = fresh(), version(), b"archive" * 1000
    made = status(rig.json().create(key, name), 200).json()
    expect("the fields of create", sorted(made), ["message", "ok", "signed_upload_url"])
    status(put_blob(made["signed_upload_url"], data), 201)
    expect("before finalize", rig.json().find(key, name), None)
    ended = status(rig.json().finish(key, name, len(data)), 200).json()
    expect("the fields of finalize", sorted(ended), ["entry_id", "message", "ok"])
    holds("entry_id is a positive number as text", isinstance(ended["entry_id"], str) and int(ended["entry_id"]) > 0, ended)
    matched, url = rig.json().find(key, name)
    expect("matched_key", matched, key)
    same("download", get(url).body, data)


@check("v2 JSON: links are absolute, two segments or more, a query, and no token of a tenant in them")
def _(rig):
    key, name = fresh(), version()
    for url in (rig.json().begin(key, name), rig.json().find(*saved(rig))[1]):
        path, _, query = url.partition("?")
        holds("absolute", path.startswith(rig.base + "/"), path[:60])
        holds("segments", len(path[len(rig.base) :].strip("/").split("/")) >= 2, path[:60])
        holds("sig and se", "sig=" in query and "se=" in query)
        for secret in (key, "4242", rig.main.split(".")[2]):
            holds("nothing readable", secret not in url)


def saved(rig, data=b"x", token=None):
    key, name = fresh(), version()
    rig.json(token).save(key, name, data)
    return key, name


def spelled(rig, fields):
    """A look-up in another spelling finds what was stored."""
    key, name = fresh(), version()
    rig.json().save(key + "-1", name, b"x")
    asked = {field: {"KEY": key, "NAME": name, "MISS": fresh()}.get(value, value) if isinstance(value, str) else value
             for field, value in fields.items()}
    for field in ("restore_keys", "restoreKeys"):
        if asked.get(field):
            asked[field] = [key]
    found = status(rig.json().call(protobuf.LOOK, asked), 200).json()
    expect("matched_key", found["matched_key"], key + "-1")


table("v2 JSON accepts", [
    ("camel case", {"key": "MISS", "version": "NAME", "restoreKeys": [1]}),
    ("snake case", {"key": "MISS", "version": "NAME", "restore_keys": [1]}),
    ("null and unknown fields", {"key": "KEY", "version": "NAME", "restore_keys": None, "metadata": None, "new": {"a": [1]}}),
    ("metadata, which is ignored", {"metadata": {"repository_id": "1", "scope": [{"scope": "refs/heads/x", "permission": "3"}]},
                                    "key": "KEY", "version": "NAME"}),
], spelled)


@check("v2 JSON accepts: sizes as text and as number, in both spellings")
def _(rig):
    for field, value in (("size_bytes", "1"), ("sizeBytes", "1"), ("size_bytes", 1), ("sizeBytes", 1)):
        key, name = fresh(), version()
        status(put_blob(rig.json().begin(key, name), b"x"), 201)
        made = status(rig.json().call(protobuf.FINISH, {"key": key, "version": name, field: value}), 200).json()
        expect(f"{field} {value!r}", made["ok"], True)


@check("v2 JSON accepts: a charset in the content type")
def _(rig):
    asked = {"key": fresh(), "version": version()}
    answer = rig.json().call(protobuf.LOOK, asked, **{"Content-Type": "application/json; charset=utf-8"})
    expect("ok", status(answer, 200).json()["ok"], False)


@check("v2 Go: all keys again in restore_keys, the primary one as a prefix")
def _(rig):
    key, name = fresh(), version()
    rig.go().save(key + "#1", name, b"x")
    expect("matched", rig.go().find(key + "#", name)[0], key + "#1")


@check("v2 matching: exact before prefix, restore keys in order, the newest first")
def _(rig):
    key, name = fresh(), version()
    for suffix in ("-b-1", "-a-1", "-a-2"):
        rig.json().save(key + suffix, name, b"x")
    for wanted, primary, restore in (
        ("-a-1", key + "-a-1", ()), ("-a-2", key + "-a", ()), ("-a-2", key, ()), ("-b-1", fresh(), (key + "-b", key + "-a")),
        ("-a-2", fresh(), (key + "-c", key + "-a")), ("-a-1", fresh(), (key + "-a-1", key)),
    ):
        expect(f"with {len(restore)} restore keys", rig.json().find(primary, name, restore)[0], key + wanted)
    expect("another version", rig.json().find(key, version(), (key,)), None)


@check("v2 matching: the branch's prefix before main's exact key")
def _(rig):
    key, name = fresh(), version()
    rig.json(rig.branch).save(key + "-own", name, b"own")
    rig.json().save(key, name, b"main")
    expect("matched", rig.json(rig.branch).find(key, name)[0], key + "-own")
    expect("from main", rig.json().find(key, name)[0], key)


@check("v2 scopes: a fallback's entry does not block the write of a branch")
def _(rig):
    key, name = saved(rig, b"main")
    same("fallback", get(rig.json(rig.branch).find(key, name)[1]).body, b"main")
    rig.json(rig.branch).save(key, name, b"branch")
    same("own", get(rig.json(rig.branch).find(key, name)[1]).body, b"branch")
    same("main's", get(rig.json().find(key, name)[1]).body, b"main")


@check("v2 scopes: a pull request writes for itself alone")
def _(rig):
    key, name = saved(rig, b"pull", rig.pull)
    expect("from main", rig.json().find(key, name), None)
    expect("from a branch", rig.json(rig.branch).find(key, name), None)
    expect("from itself", rig.json(rig.pull).find(key, name)[0], key)


@check("v2 tenants: nothing is found, created over or finalized by another one")
def _(rig):
    key, name = saved(rig)
    expect("found", rig.json(rig.globex).find(key, name, (key[:4],)), None)
    key, name = fresh(), version()
    status(put_blob(rig.json().begin(key, name), b"mine"), 201)
    answer = rig.json(rig.globex).finish(key, name, 4)
    holds("not finalized", answer.status // 100 == 4 or not answer.json()["ok"], answer)
    rig.json(rig.globex).save(key, name, b"evil")
    rig.json().finished(key, name, 4)
    same("mine", get(rig.json().find(key, name)[1]).body, b"mine")


@check("v2 and v1 share their entries")
def _(rig):
    key, name = saved(rig, b"by v2")
    same("v2 to v1", get(rig.v1().find([key], name)["archiveLocation"]).body, b"by v2")
    key, name = fresh(), version()
    rig.v1().save(key, name, b"by v1")
    same("v1 to v2", get(rig.json().find(key, name)[1]).body, b"by v1")


@check("v2 create: what exists is 409 already_exists, as Go knows it")
def _(rig):
    key, name = saved(rig)
    for answer in (rig.json().create(key, name), rig.json(rig.second).create(key, name), rig.go().create(key, name)):
        twirp(answer, "already_exists", 409)
        holds("exists for Go", go_refusal(answer), answer)


@check("v2 create: an upload that runs is 409 for everybody, one that was left behind gives way to the same token")
def _(rig):
    key, name = fresh(), version()
    first = rig.json().begin(key, name)
    for token in (rig.main, rig.second):
        holds("exists for Go", go_refusal(status(rig.json(token).create(key, name), 409)))
    status(put_blob(first, b"old"), 201)
    holds("exists for Go", go_refusal(status(rig.json().create(key, name), 409)))
    second = anew(lambda: rig.json().create(key, name), 409).json()["signed_upload_url"]
    status(put_blob(first, b"old"), 404, 409)
    status(put_blob(second, b"new"), 201)
    rig.json().finished(key, name, 3)
    same("download", get(rig.json().find(key, name)[1]).body, b"new")


@check("v2 create: a token that may only read gets ok false and `cache write denied:`")
def _(rig):
    made = status(rig.json(rig.reader).create(fresh(), version()), 200).json()
    expect("ok", made["ok"], False)
    holds("message", made["message"].startswith("cache write denied:"), made["message"])


@check("v2 look-up: a token that may only write gets 403 and `cache read denied:`")
def _(rig):
    said = twirp(rig.json(rig.writer).look(fresh(), version()), "permission_denied", 403)
    holds("msg", "cache read denied:" in said, said)


@check("v2 write-only tokens save, and readers see it")
def _(rig):
    key, name = saved(rig, b"x", rig.writer)
    expect("found by a reader", rig.json(rig.reader).find(key, name)[0], key)


def unfinished(rig, answer):
    """Finalize has said no in one of its two ways, and not as a passing fault."""
    holds("refused", answer.status // 100 == 4 or (answer.status == 200 and answer.json()["ok"] is False), answer)
    said = answer.json().get("message") or answer.json().get("msg")
    holds("a message", said, answer)


@check("v2 finalize: a wrong size is refused, the right one afterwards is taken")
def _(rig):
    key, name = fresh(), version()
    status(put_blob(rig.json().begin(key, name), b"12345"), 201)
    for size in (4, 6, 0, -1, 1 << 60):
        unfinished(rig, rig.json().finish(key, name, size))
    expect("still hidden", rig.json().find(key, name), None)
    rig.json().finished(key, name, 5)


@check("v2 finalize: without a body, without an upload")
def _(rig):
    key, name = fresh(), version()
    unfinished(rig, rig.json().finish(key, name, 0))
    rig.json().begin(key, name)
    unfinished(rig, rig.json().finish(key, name, 5))
    expect("hidden", rig.json().find(key, name), None)


@check("v2 finalize: again with the same size answers the same")
def _(rig):
    key, name = fresh(), version()
    status(put_blob(rig.json().begin(key, name), b"12345"), 201)
    first = rig.json().finished(key, name, 5)
    expect("entry_id", rig.json().finished(key, name, 5), first)
    unfinished(rig, rig.json().finish(key, name, 6))


@check("v2 finalize: an empty archive")
def _(rig):
    key, name = saved(rig, b"")
    answer = status(get(rig.json().find(key, name)[1]), 200)
    expect("Content-Length", answer.header("content-length"), "0")


@check("protobuf: create, Put Blob, finalize, find (OpenDAL)")
def _(rig):
    key, name, client = "sccache/" + fresh(), version(), rig.proto()
    expect("a miss", client.find(key, name), None)
    status(put_blob(client.begin(key, name), b"object file", "opendal"), 201)
    client.finished(key, name, 11)
    matched, url = client.find(key, name)
    expect("matched", matched, key)
    probe = status(get(url, Range="bytes=0-0"), 206)
    expect("Content-Range of stat", probe.header("content-range"), "bytes 0-0/11")
    same("download", get(url).body, b"object file")
    expect("found as JSON", rig.json().find(key, name)[0], key)


@check("protobuf: restore keys, and fields that are not known")
def _(rig):
    key, name = fresh(), version()
    rig.json().save(key + "-1", name, b"x")
    asked = encode([(2, fresh()), (3, "other"), (3, key), (4, name), (15, "later"), (16, 7)])
    expect("matched", rig.proto().read(rig.proto().call(protobuf.LOOK, asked))[3], key + "-1")


@check("protobuf: what exists is 409 with a body of JSON")
def _(rig):
    key, name = saved(rig)
    twirp(rig.proto().create(key, name), "already_exists", 409)


@check("protobuf: a wrong size, a body that is no protobuf, no token, a read-only token")
def _(rig):
    key, name, client = fresh(), version(), rig.proto()
    status(put_blob(client.begin(key, name), b"x", "opendal"), 201)
    answer = client.finish(key, name, 2)
    holds("refused", answer.status // 100 == 4 or 1 not in client.read(answer), answer)
    answer = client.call(protobuf.LOOK, b"\xff\xff\xff\xff")
    holds("malformed", answer.status == 400 and answer.json().get("code") in ("malformed", "invalid_argument"), answer)
    twirp(rig.nobody(Proto).look(key, name), "unauthenticated", 401)
    made = rig.proto(rig.reader).read(rig.proto(rig.reader).create(fresh(), name))
    holds("denied", 1 not in made and made[3].startswith("cache write denied:"), made)


def fault(rig, path, code, statuses, method="POST", body=b"{}", **headers):
    wanted = rig.json().headers | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = ask(method, rig.base + path, wanted, body)
    status(answer, *statuses)
    said = answer.json()
    holds("a code of Twirp", said.get("code") in code, answer)
    holds("msg", said.get("msg"), answer)


BAD = ("invalid_argument", "malformed")
LOOK = SERVICE + protobuf.LOOK
table("v2 errors are JSON", [
    ("unknown method", SERVICE + "Nothing", ("bad_route",), (404,)),
    ("unknown service", "/twirp/github.actions.results.api.v1.Other/Nothing", ("bad_route",), (404,)),
    ("the root of Twirp", "/twirp/", ("bad_route",), (404,)),
    ("GET", LOOK, ("bad_route",), (404, 405), "GET", None),
    ("no JSON", LOOK, BAD, (400,), "POST", b"{"),
    ("a list", LOOK, BAD, (400,), "POST", b"[]"),
    ("wrong types", LOOK, BAD, (400,), "POST", b'{"key": 7, "version": "v"}'),
    ("no key", LOOK, BAD, (400,), "POST", b'{"version": "v"}'),
    ("no version", LOOK, BAD, (400,), "POST", b'{"key": "k"}'),
    ("a key of 513", SERVICE + protobuf.CREATE, BAD, (400,), "POST", json.dumps({"key": "k" * 513, "version": "v"}).encode()),
    ("a comma", SERVICE + protobuf.CREATE, BAD, (400,), "POST", b'{"key": "a,b", "version": "v"}'),
    ("100 KB", LOOK, (*BAD, "resource_exhausted"), (400, 413), "POST", b'{"key": "%s", "version": "v"}' % (b"k" * 100_000)),
], fault)


@check("v2 errors are JSON: another content type")
def _(rig):
    answer = rig.json().call(protobuf.LOOK, b"{}", **{"Content-Type": "text/plain"})
    holds("refused as JSON", answer.status // 100 == 4 and answer.json().get("code"), answer)


def unauthenticated(rig, headers):
    for method in METHODS:
        answer = ask("POST", rig.base + SERVICE + method, rig.nobody(Json).headers | headers, b'{"key": "k", "version": "v"}')
        said = twirp(answer, "unauthenticated", 401)
        for secret in headers.values():
            if secret.split()[-1] in said:
                raise Failed("the token stands in the message")


table("v2 credentials: 401 as JSON", [
    ("none", {}), ("no token at all", {"Authorization": "Bearer something-else"}),
    ("Basic without a token", {"Authorization": "Basic dXNlcjpwYXNz"}),
    ("no signature", {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."}),
], unauthenticated)


@check("v2 credentials: 401 as JSON: expired, damaged, without repository_id")
def _(rig):
    twirp(rig.json(rig.expired).look("k", "v"), "unauthenticated", 401)
    head, claims, signature = rig.main.split(".")
    damaged = f"{head}.{claims}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    twirp(rig.json(damaged).look("k", "v"), "unauthenticated", 401)
    odd = rig.signer.sign(rig.signer.times(3600) | {"ac": '[{"Scope":"refs/heads/main","Permission":3}]'})
    answer = rig.json(odd).look("k", "v")
    holds("refused as JSON", answer.status in (401, 403) and answer.json().get("code"), answer)


def bad_scopes(rig, access):
    """Nothing of a broken `ac` is taken, and nothing falls back to the expressions."""
    token = rig.signer.identity(4242, "refs/heads/main", ac=access)
    for answer in (rig.json(token).look("k", "v"), rig.json(token).create(fresh(), "v")):
        holds("refused as JSON", answer.status in (401, 403) and answer.json().get("code"), answer)
    status(rig.v1(token).look(["k"], "v"), 401, 403)


table("v2 credentials: a broken `ac`", [
    ("no JSON", "refs/heads/main"), ("an empty list", "[]"), ("no text but a list", [{"Scope": "refs/heads/main", "Permission": 3}]),
    ("an empty scope", '[{"Scope":"","Permission":3}]'), ("a permission in words", '[{"Scope":"refs/heads/main","Permission":"rw"}]'),
], bad_scopes)
