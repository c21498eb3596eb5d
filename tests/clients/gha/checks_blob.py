"""Blob links: uploads in blocks as three SDKs send them, signatures, reads at offsets, faults."""

import hashlib
import re
import secrets
import time
import urllib.parse

from dialects import (
    block_list, block_url, fresh, get, go_id, ids, pieces, put_blob, put_block, put_list, sdk_headers, version, with_query,
)
from suite import check, table
from web import Failed, ask, connect, cut_off, expect, holds, parallel, same, status

KIB, MIB = 1 << 10, 1 << 20


def upload(rig):
    """A fresh upload: its key, version and link."""
    key, name = fresh(), version()
    return key, name, rig.json().begin(key, name)


def link(rig, data):
    """A download link of an entry with these bytes."""
    key, name = fresh(), version()
    rig.json().save(key, name, data)
    return rig.json().find(key, name)[1]


def azure(answer, code, *wanted):
    """A refusal as the SDKs read it: XML with a code, the same in a header, and the id that Go cannot do without."""
    status(answer, *wanted)
    holds("application/xml", (answer.header("content-type") or "").startswith("application/xml"), answer)
    found = re.search(rb"<Error>\s*<Code>(\w+)</Code>\s*<Message>", answer.body)
    holds("XML of Azure", found, answer)
    expect("x-ms-error-code", answer.header("x-ms-error-code"), found[1].decode())
    holds("x-ms-request-id", answer.header("x-ms-request-id"), answer)
    if code:
        expect("the code", found[1].decode(), code)


def created(answer):
    """201 and nothing else, with the header that Go dereferences."""
    status(answer, 201)
    expect("a body", answer.body, b"")
    holds("x-ms-request-id", answer.header("x-ms-request-id"), answer)
    return answer


def whole(rig, sdk, size):
    key, name, url = upload(rig)
    data = secrets.token_bytes(size)
    created(put_blob(url, data, sdk))
    rig.json().finished(key, name, size)
    same("download", get(rig.json().find(key, name)[1]).body, data)


table("Put Blob", [
    ("the toolkit, 5 MiB", "js", 5 * MIB), ("Go, below 1 MiB", "go", MIB - 1), ("OpenDAL, 3 KiB", "opendal", 3 * KIB),
    ("64 KiB", "opendal", 64 * KIB), ("64 KiB and one", "js", 64 * KIB + 1), ("one byte", "go", 1), ("empty", "js", 0),
], whole)


def blocks(rig, sdk, size, block, threads, order):
    """All blocks, `threads` at once, in an order of arrival that is not the one of the list."""
    key, name, url = upload(rig)
    data = secrets.token_bytes(size)
    parts = pieces(data, block)
    names = ids(sdk, len(parts))
    jobs = [lambda nth=nth: created(put_block(url, names[nth], parts[nth], sdk)) for nth in order(range(len(parts)))]
    begin = time.monotonic()
    parallel(jobs, threads)
    created(put_list(url, names, sdk))
    expect("before finalize", rig.json().find(key, name), None)
    rig.json().finished(key, name, size)
    took = time.monotonic() - begin
    same("download", get(rig.json().find(key, name)[1]).body, data)
    return f"{size / took / 1e6:.0f} MB/s"


def mixed(numbers):
    return sorted(numbers, key=lambda nth: hashlib.sha256(b"%d" % nth).digest())


table("Put Block", [
    ("48-byte ids, 8 parallel (the toolkit)", "js", 40 * MIB + 5, 4 * MIB, 8, list),
    ("64-byte ids, 1 MiB, one after the other (Go)", "go", 5 * MIB + 77, MIB, 1, list),
    ("16 random bytes, 4 parallel, the query of OpenDAL", "opendal", 8 * MIB + 1, MIB, 4, list),
    ("48-byte ids, mixed", "js", 7 * MIB + 9, 512 * KIB, 4, mixed), ("64-byte ids, mixed", "go", 3 * MIB + 9, 256 * KIB, 4, mixed),
    ("16 random bytes, backwards", "opendal", 3 * MIB, 256 * KIB, 1, lambda numbers: numbers[::-1]),
    ("one block", "go", 100, MIB, 1, list), ("the last one first", "js", MIB + 1, MIB, 1, lambda numbers: numbers[::-1]),
], blocks)


@check("Put Block: 1,500 blocks of 100 bytes over one connection")
def _(rig):
    key, name, url = upload(rig)
    data, connection = secrets.token_bytes(150_000), connect(rig.base)
    names = ids("go", 1500)
    begin = time.monotonic()
    for block, part in zip(names, pieces(data, 100)):
        created(put_block(url, block, part, "go", connection))
    connection.close()
    took = time.monotonic() - begin
    created(put_list(url, names, "go"))
    rig.json().finished(key, name, len(data))
    same("download", get(rig.json().find(key, name)[1]).body, data)
    return f"{1500 / took:.0f} blocks/s"


def listed(rig, staged, order, wanted, tag="Latest"):
    """Stages `staged` (pairs of an id and its bytes), lists `order`; `wanted` are the bytes, or a code of Azure."""
    key, name, url = upload(rig)
    for block, data in staged:
        created(put_block(url, block, data))
    answer = put_list(url, None, xml=block_list(order, tag=tag))
    if isinstance(wanted, str):
        azure(answer, wanted, 400)
        return
    created(answer)
    rig.json().finished(key, name, len(wanted))
    same("download", get(rig.json().find(key, name)[1]).body, wanted)


A, B, C = b"a" * 16, b"b" * 16, b"c" * 16
table("Put Block List", [
    ("its order is the order of the bytes", [(A, b"11"), (B, b"22"), (C, b"33")], [C, A, B], b"331122"),
    ("blocks that are not named are dropped", [(A, b"11"), (B, b"22"), (C, b"33")], [A, C], b"1133"),
    ("a block staged again is replaced", [(A, b"11"), (B, b"22"), (A, b"3333")], [A, B], b"333322"),
    ("the same block twice", [(A, b"11"), (B, b"22")], [A, B, A], b"112211"),
    ("Uncommitted", [(A, b"11"), (B, b"22")], [A, B], b"1122", "Uncommitted"),
    ("an id that was not staged", [(A, b"11")], [A, B], "InvalidBlockList"),
], listed)


def bad_list(rig, xml, code):
    key, name, url = upload(rig)
    created(put_block(url, A, b"11"))
    azure(put_list(url, None, xml=xml), code, 400)
    created(put_list(url, [A]))
    rig.json().finished(key, name, 2)


table("Put Block List refuses, and the right one afterwards is taken", [
    ("no XML", b"no XML", None), ("an open element", b"<BlockList><Latest>", None),
    ("an id that is not base64", b"<BlockList><Latest>*</Latest></BlockList>", None),
    ("another root", b"<Other></Other>", None), ("nothing", b"", None),
    ("an entity that grows", b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><BlockList><Latest>&b;</Latest></BlockList>', None),
], bad_list)


@check("Put Block List: again, with another order, before finalize")
def _(rig):
    key, name, url = upload(rig)
    for block, data in ((A, b"11"), (B, b"22")):
        created(put_block(url, block, data))
    created(put_list(url, [B, A]))
    created(put_list(url, [A, B]))
    rig.json().finished(key, name, 4)
    same("download", get(rig.json().find(key, name)[1]).body, b"1122")


def bad_block(rig, query, code):
    url = upload(rig)[2]
    azure(ask("PUT", f"{url}&{query}", sdk_headers("js"), b"x"), code, 400)


table("Put Block refuses", [
    ("no id", "comp=block", None), ("an empty id", "comp=block&blockid=", None), ("no base64", "comp=block&blockid=%2A%2A", None),
    ("an id of 65 bytes", "comp=block&blockid=" + "QUFB" * 21 + "QUE%3D", None), ("an unknown comp", "comp=nothing", None),
], bad_block)


@check("Put Block: faults: a body that is cut off is not staged, and does not damage the one before")
def _(rig):
    key, name, url = upload(rig)
    cut_off("PUT", block_url(url, B, "js"), sdk_headers("js"), 200_000, b"b" * 150_000)
    azure(put_list(url, [B]), "InvalidBlockList", 400)
    good = secrets.token_bytes(200_000)
    created(put_block(url, A, good))
    cut_off("PUT", block_url(url, A, "js"), sdk_headers("js"), 200_000, b"b" * 150_000)
    created(put_list(url, [A]))
    rig.json().finished(key, name, len(good))
    same("download", get(rig.json().find(key, name)[1]).body, good)


@check("Put Blob: faults: cut off, then finalize is refused; the retry is taken")
def _(rig):
    key, name, url = upload(rig)
    headers = sdk_headers("js", x_ms_blob_type="BlockBlob")
    data = secrets.token_bytes(200_000)
    cut_off("PUT", url, headers, len(data), data[:100_000])
    answer = rig.json().finish(key, name, len(data))
    holds("refused", answer.status // 100 == 4 or not answer.json()["ok"], answer)
    created(put_blob(url, data))
    rig.json().finished(key, name, len(data))
    same("download", get(rig.json().find(key, name)[1]).body, data)


@check("Put Blob: again with other bytes before finalize: the last one counts")
def _(rig):
    key, name, url = upload(rig)
    created(put_blob(url, b"first"))
    created(put_blob(url, b"second"))
    rig.json().finished(key, name, 6)
    same("download", get(rig.json().find(key, name)[1]).body, b"second")


@check("Put Blob: Expect: 100-continue, a stray Authorization, x-ms-version comes back")
def _(rig):
    key, name, url = upload(rig)
    answer = put_blob(url, b"data", **{"Expect": "100-continue", "Authorization": "Bearer " + rig.globex})
    created(answer)
    holds("x-ms-version", answer.header("x-ms-version") in (None, "2026-04-06"), answer.header("x-ms-version"))
    rig.json().finished(key, name, 4)


@check("Put Blob: faults: another type of blob, too large, another method")
def _(rig):
    url = upload(rig)[2]
    azure(put_blob(url, b"x", **{"x-ms-blob-type": "PageBlob"}), None, 400)
    azure(ask("DELETE", url, sdk_headers("js")), None, 403, 405)
    azure(ask("POST", url, sdk_headers("js"), b"x"), None, 403, 405)
    connection = connect(url)
    connection.putrequest("PUT", url[len(rig.base) :], skip_accept_encoding=True)
    for header, value in (sdk_headers("js", x_ms_blob_type="BlockBlob") | {"Content-Length": str(rig.largest + 1)}).items():
        connection.putheader(header, value)
    connection.endheaders()
    said = connection.getresponse()
    expect("status of a blob that is too large", said.status, 413)
    holds("x-ms-request-id", said.getheader("x-ms-request-id"))
    connection.close()


@check("links end: a PUT after finalize changes nothing")
def _(rig):
    key, name, url = upload(rig)
    created(put_blob(url, b"first"))
    rig.json().finished(key, name, 5)
    for answer in (put_blob(url, b"other"), put_block(url, A, b"other"), put_list(url, [A])):
        azure(answer, None, 403, 404, 409)
    same("download", get(rig.json().find(key, name)[1]).body, b"first")


def parameters(url):
    path, _, query = url.partition("?")
    return path, dict(urllib.parse.parse_qsl(query, keep_blank_values=True))


def forged(rig, change):
    """Links that nobody has signed, in both directions: 403, and nothing happens."""
    key, name, first = upload(rig)
    reads, other = link(rig, b"secret"), link(rig, b"other")
    second = upload(rig)[2]
    for url, near in ((first, second), (reads, other), (first, reads), (reads, first)):
        path, query = change(parameters(url), parameters(near))
        bad = path + ("?" + urllib.parse.urlencode(query) if query else "")
        for answer in (get(bad), put_blob(bad, b"evil"), put_block(bad, A, b"evil"), put_list(bad, [A])):
            azure(answer, "AuthenticationFailed", 403)
    created(put_blob(first, b"good"))
    rig.json().finished(key, name, 4)
    same("download", get(rig.json().find(key, name)[1]).body, b"good")


def flip(text, at):
    at %= len(text)
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


table("forged links are 403", [
    ("first letter of sig", lambda mine, near: (mine[0], mine[1] | {"sig": flip(mine[1]["sig"], 0)})),
    ("sig cut", lambda mine, near: (mine[0], mine[1] | {"sig": mine[1]["sig"][:-2]})),
    ("sig empty", lambda mine, near: (mine[0], mine[1] | {"sig": ""})),
    ("sig of another link", lambda mine, near: (mine[0], mine[1] | {"sig": near[1]["sig"]})),
    ("path of another link", lambda mine, near: (near[0], mine[1])),
    ("later se", lambda mine, near: (mine[0], mine[1] | {"se": str(4_000_000_000)})),
    ("no sig", lambda mine, near: (mine[0], {"se": mine[1]["se"]})),
    ("no se", lambda mine, near: (mine[0], {"sig": mine[1]["sig"]})),
    ("no query", lambda mine, near: (mine[0], {})),
    ("path changed", lambda mine, near: (flip(mine[0], -5), mine[1])),
], forged)


@check("links have one direction: an upload link does not read, a download link does not write")
def _(rig):
    key, name, url = upload(rig)
    created(put_blob(url, b"half"))
    azure(get(url), None, 403, 404, 405)
    reads = link(rig, b"entry")
    for answer in (put_blob(reads, b"evil"), put_block(reads, A, b"evil"), put_list(reads, [A])):
        azure(answer, None, 403, 404, 405)
    same("the entry", get(reads).body, b"entry")


DATA = bytes(range(256)) * 40
# What is asked, the status, and the first and the last byte.
READS = [
    ("the whole", {}, 200, 0, 10239), ("x-ms-range at an offset (Go)", {"x_ms_range": "bytes=5000-"}, 206, 5000, 10239),
    ("x-ms-range with an end", {"x_ms_range": "bytes=10-19"}, 206, 10, 19),
    ("x-ms-range before Range", {"x_ms_range": "bytes=7-", "Range": "bytes=1-2"}, 206, 7, 10239),
    ("Range at an offset", {"Range": "bytes=5000-"}, 206, 5000, 10239), ("Range 0-0 (stat)", {"Range": "bytes=0-0"}, 206, 0, 0),
    ("the last byte", {"Range": "bytes=10239-"}, 206, 10239, 10239), ("a suffix", {"Range": "bytes=-100"}, 206, 10140, 10239),
    ("an end behind the end", {"Range": "bytes=10000-99999"}, 206, 10000, 10239),
]


def reads(rig, headers, wanted, first, last):
    key, name = fresh(), version()
    rig.json().save(key, name, DATA)
    # Both generations hand out links.
    for url in (rig.json().find(key, name)[1], rig.v1().find([key], name)["archiveLocation"]):
        for method in ("GET", "HEAD"):
            asked = {name.replace("_", "-"): value for name, value in headers.items()}
            # Ranges are for GET only (RFC 9110, section 14.2).
            code, begin, end = (wanted, first, last) if method == "GET" else (200, 0, len(DATA) - 1)
            answer = status(ask(method, url, asked), code)
            same("the bytes", answer.body, DATA[begin : end + 1] if method == "GET" else b"")
            expect("Content-Length", answer.header("content-length"), str(end + 1 - begin))
            expect("Content-Range", answer.header("content-range"), f"bytes {begin}-{end}/10240" if code == 206 else None)
            expect("Accept-Ranges", answer.header("accept-ranges"), "bytes")
            expect("Content-Type", answer.header("content-type"), "application/octet-stream")
            expect("Content-Encoding", answer.header("content-encoding"), None)
            for header in ("etag", "last-modified", "x-ms-request-id"):
                holds(header, answer.header(header), answer)
            holds("a strong ETag", answer.header("etag").startswith('"'), answer.header("etag"))


table("reads", READS, reads)


@check("reads: 416 past the end, with the size")
def _(rig):
    url = link(rig, DATA)
    for headers in ({"Range": "bytes=10240-"}, {"x_ms_range": "bytes=99999-"}):
        answer = status(get(url, **headers), 416)
        expect("Content-Range", answer.header("content-range"), "bytes */10240")


@check("reads: ten at once over one link, 20 MB, each whole")
def _(rig):
    data = secrets.token_bytes(20_000_000)
    url = link(rig, data)
    begin = time.monotonic()
    for answer in parallel([lambda: get(url)] * 10, 10):
        same("download", answer.body, data)
    return f"{10 * len(data) / (time.monotonic() - begin) / 1e6:.0f} MB/s"


@check("reads: no compression, whatever is asked for")
def _(rig):
    answer = status(get(link(rig, b"a" * 100_000), Accept_Encoding="gzip, br, zstd"), 200)
    same("download", answer.body, b"a" * 100_000)


@check("an id of 64 bytes and one of a single byte")
def _(rig):
    key, name, url = upload(rig)
    for names in ([go_id(b"\xff" * 16, nth) for nth in range(2)], [b"\0", b"\xff"]):
        key, name, url = upload(rig)
        for block, data in zip(names, (b"11", b"22")):
            created(put_block(url, block, data))
        created(put_list(url, names))
        rig.json().finished(key, name, 4)


@check("queries: the server's parameters in any order, spelled with escapes")
def _(rig):
    key, name, url = upload(rig)
    path, query = parameters(url)
    turned = path + "?" + "&".join(f"{field}={urllib.parse.quote(query[field], safe='')}" for field in reversed(query))
    created(put_block(turned, A, b"11", "opendal"))
    created(ask("PUT", with_query(turned, "comp=block%6Cist", "js"), sdk_headers("js"), block_list([A])))
    rig.json().finished(key, name, 2)


# Made when the checks begin, so that its minute passes while the others run.
def begin_expiry(rig):
    rig.expiring = link(rig, b"short-lived")
    rig.expiring_since = time.monotonic()
    same("while it is good", get(rig.expiring).body, b"short-lived")


def end_expiry(rig):
    """With `link_lifetime: 1m`: the link ends after its minute, and not before."""
    while True:
        answer, age = get(rig.expiring), time.monotonic() - rig.expiring_since
        if answer.status != 200:
            break
        if age > 75:
            raise Failed(f"still good after {age:.0f} s")
        # The condition is the answer of the server; it cannot come sooner than the minute is over.
        time.sleep(0.5)
    azure(answer, "AuthenticationFailed", 403)
    holds("good for most of a minute", age > 50, f"{age:.0f} s")
    return f"after {age:.0f} s"
