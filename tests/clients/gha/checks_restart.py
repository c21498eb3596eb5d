"""Uploads and links over kill -9: `before` begins them and notes what it has, `after` goes on with it."""

import base64
import http.client
import json
import secrets

from checks_blob import azure, created
from dialects import SDK, block_url, fresh, get, ids, pieces, put_blob, put_block, put_list, sdk_headers, version
from suite import CHECKS, run
from web import connect, expect, same, status, target

SIZE, PART = 3_000_000, 500_000


def half_ranges(rig, note):
    """Every second range of an upload of the first generation."""
    key, name, data = fresh(), version(), secrets.token_bytes(SIZE)
    number = rig.v1().begin(key, name, SIZE)
    for nth, part in list(enumerate(pieces(data, PART)))[::2]:
        status(rig.v1().patch(number, nth * PART, part), 2)
    note["ranges"] = {"key": key, "name": name, "data": data.hex(), "number": number}


def half_blocks(rig, note, sdk):
    """Every second block of an upload of the second generation."""
    key, name, data = fresh(), version(), secrets.token_bytes(SIZE)
    url, names = rig.json().begin(key, name), ids(sdk, SIZE // PART)
    for block, part in list(zip(names, pieces(data, PART)))[::2]:
        created(put_block(url, block, part, sdk))
    blocks = [base64.b64encode(block).decode() for block in names]
    note[sdk] = {"key": key, "name": name, "data": data.hex(), "url": url, "blocks": blocks}


def in_flight(rig, note):
    """A block that is whole, and a second try of it whose end has not come when the server dies. Answers its connection."""
    key, name, data = fresh(), version(), secrets.token_bytes(PART)
    url, names = rig.json().begin(key, name), ids("js", 1)
    created(put_block(url, names[0], data))
    connection = connect(url)
    connection.putrequest("PUT", target(block_url(url, names[0], "js")), skip_accept_encoding=True)
    for header, value in (sdk_headers("js") | {"Content-Length": str(PART)}).items():
        connection.putheader(header, value)
    connection.endheaders(b"x" * (PART // 2))
    note["torn"] = {"key": key, "name": name, "data": data.hex(), "url": url, "block": names[0].decode()}
    return connection


def small_ones(rig, note):
    """A body that was put and not finalized, a list that was put, and an entry."""
    key, name = fresh(), version()
    created(put_blob(rig.json().begin(key, name), b"small and not finalized", "opendal"))
    note["small"] = {"key": key, "name": name}
    key, name = fresh(), version()
    url, names = rig.json().begin(key, name), ids("js", 2)
    for block, data in zip(names, (b"11", b"22")):
        created(put_block(url, block, data))
    created(put_list(url, names[::-1]))
    note["listed"] = {"key": key, "name": name}
    key, name = fresh(), version()
    rig.json().save(key, name, b"committed")
    note["entry"] = {"key": key, "name": name, "link": rig.json().find(key, name)[1]}


def before(rig, path):
    """Ends when the server has died."""
    note = {"tokens": {name: getattr(rig, name) for name in ("main", "second", "globex")}}
    half_ranges(rig, note)
    for sdk in SDK:
        half_blocks(rig, note, sdk)
    small_ones(rig, note)
    connection = in_flight(rig, note)
    path.write_text(json.dumps(note))
    print("half done", flush=True)
    try:
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return 0
    print("FAILED: the server has answered a block that has not come")
    return 1


def after(rig, path):
    """The jobs go on with the tokens that they had."""
    rig.note = json.loads(path.read_text())
    for name, token in rig.note["tokens"].items():
        setattr(rig, name, token)
    CHECKS[:] = AFTER
    return run(rig)


def finish_ranges(rig):
    left = rig.note["ranges"]
    data = bytes.fromhex(left["data"])
    status(rig.v1().commit(left["number"], SIZE), 400)
    for nth, part in list(enumerate(pieces(data, PART)))[1::2]:
        status(rig.v1().patch(left["number"], nth * PART, part), 2)
    status(rig.v1().commit(left["number"], SIZE), 2)
    same("download", get(rig.v1().find([left["key"]], left["name"])["archiveLocation"]).body, data)


def finish_blocks(rig, sdk):
    left = rig.note[sdk]
    data, names = bytes.fromhex(left["data"]), [base64.b64decode(block) for block in left["blocks"]]
    azure(put_list(left["url"], names, sdk), "InvalidBlockList", 400)
    for block, part in list(zip(names, pieces(data, PART)))[1::2]:
        created(put_block(left["url"], block, part, sdk))
    created(put_list(left["url"], names, sdk))
    rig.json().finished(left["key"], left["name"], SIZE)
    same("download", get(rig.json().find(left["key"], left["name"])[1]).body, data)


def finish_small(rig):
    left = rig.note["small"]
    rig.proto().finished(left["key"], left["name"], 23)
    same("download", get(rig.json().find(left["key"], left["name"])[1]).body, b"small and not finalized")


def finish_listed(rig):
    left = rig.note["listed"]
    rig.json().finished(left["key"], left["name"], 4)
    same("download", get(rig.json().find(left["key"], left["name"])[1]).body, b"2211")


def finish_torn(rig):
    left = rig.note["torn"]
    created(put_list(left["url"], [left["block"].encode()]))
    rig.json().finished(left["key"], left["name"], PART)
    same("download", get(rig.json().find(left["key"], left["name"])[1]).body, bytes.fromhex(left["data"]))


def old_link(rig):
    left = rig.note["entry"]
    same("the link from before", get(left["link"]).body, b"committed")
    expect("found", rig.json().find(left["key"], left["name"])[0], left["key"])
    expect("by prefix", rig.v1().find([left["key"][:-2]], left["name"])["cacheKey"], left["key"])
    status(rig.json().create(left["key"], left["name"]), 409)


def repeated(rig):
    """A client that got no answer because the server died asks again."""
    left = rig.note["entry"]
    rig.json().finished(left["key"], left["name"], 9)


def still_reserved(rig):
    left = rig.note["small"]
    status(rig.json(rig.second).create(left["key"], left["name"]), 409)
    expect("hidden", rig.json().find(left["key"], left["name"]), None)


def still_foreign(rig):
    for left in rig.note.values():
        if "key" in left:
            expect("another tenant", rig.json(rig.globex).find(left["key"], left["name"], (left["key"][:5],)), None)


AFTER = [
    ("an upload is still its job's, and hidden", still_reserved),
    ("v1: the other ranges, and the commit", finish_ranges),
    *((f"v2: the other blocks as {sdk} sends them", lambda rig, sdk=sdk: finish_blocks(rig, sdk)) for sdk in SDK),
    ("Put Blob: finalize alone", finish_small), ("Put Block List: finalize alone", finish_listed),
    ("a block whose second try was torn has its first bytes", finish_torn),
    ("an entry, its link from before, its key as a prefix", old_link), ("finalize of an entry again", repeated),
    ("another tenant sees nothing", still_foreign),
]
