"""How each client speaks: `@actions/cache` and the Azure SDK for JavaScript, go-actions-cache and the Azure SDK
for Go, OpenDAL (sccache). Headers, spellings and ids are theirs."""

import base64
import hashlib
import json
import secrets
import urllib.parse
import uuid

from web import Failed, ask, status

API = "/_apis/artifactcache/"
SERVICE = "/twirp/github.actions.results.api.v1.CacheService/"
ACCEPT = "application/json;api-version=6.0-preview.1"
GO_VERSION = hashlib.sha256(b"|go-actionscache-1.0").hexdigest()
MIB = 1 << 20


def fresh(prefix="key"):
    """A key that no other check uses."""
    return f"{prefix}-{secrets.token_hex(6)}"


def version():
    return secrets.token_hex(32)


def quoted(text):
    """As encodeURIComponent."""
    return urllib.parse.quote(text, safe="!'()*")


class V1:
    """The first generation, in the forms of the toolkit unless another is named."""

    def __init__(self, base, token, agent="@actions/cache-3.3.0"):
        self.base, self.agent = base, agent
        self.headers = {"Accept": ACCEPT, "User-Agent": agent}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def url(self, path):
        return f"{self.base}{API}{path}"

    def look(self, keys, version, query=None):
        query = query or f"keys={quoted(','.join(keys))}&version={quoted(version)}"
        return ask("GET", self.url(f"cache?{query}"), self.headers)

    def find(self, keys, version, **how):
        """The found entry, or None."""
        answer = status(self.look(keys, version, **how), 200, 204)
        if answer.status == 204:
            if answer.body:
                raise Failed(f"a miss with a body: {answer}")
            return None
        return answer.json()

    def reserve(self, key, version, size=None):
        asked = {"key": key, "version": version} | ({} if size is None else {"cacheSize": size})
        return self.post("caches", asked)

    def post(self, path, asked):
        headers = self.headers | {"Content-Type": "application/json"}
        return ask("POST", self.url(path), headers, json.dumps(asked).encode())

    def begin(self, key, version, size=None):
        """The number of a fresh upload."""
        number = status(self.reserve(key, version, size), 2).json().get("cacheId")
        if not isinstance(number, int) or not 0 < number < 1 << 53:
            raise Failed(f"cacheId is {number!r}")
        return number

    def patch(self, number, start, data, chunked=True, spread=None, connection=None):
        """`spread` replaces Content-Range. The toolkit sends chunks and no length; Go and OpenDAL send a length."""
        spread = spread or f"bytes {start}-{start + len(data) - 1}/*"
        headers = self.headers | {"Content-Type": "application/octet-stream", "Content-Range": spread}
        return ask("PATCH", self.url(f"caches/{number}"), headers, data, chunked, connection)

    def commit(self, number, size):
        return self.post(f"caches/{number}", {"size": size})

    def save(self, key, version, data, size=None, **how):
        number = self.begin(key, version, size)
        if data:
            status(self.patch(number, 0, data, **how), 2)
        status(self.commit(number, len(data)), 2)
        return number


class Json:
    """The second generation as JSON, in the forms of the toolkit."""

    def __init__(self, base, token, agent="@actions/cache-6.3.0"):
        self.base = base
        self.headers = {"Content-Type": "application/json", "User-Agent": agent}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def call(self, method, asked, **headers):
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        return ask("POST", f"{self.base}{SERVICE}{method}", self.headers | headers, body)

    def look(self, key, version, restore=()):
        asked = {"key": key, "version": version} | ({"restore_keys": list(restore)} if restore else {})
        return self.call("GetCacheEntryDownloadURL", asked)

    def find(self, key, version, restore=()):
        """(matched key, download URL), or None."""
        found = status(self.look(key, version, restore), 200).json()
        return (found["matched_key"], found["signed_download_url"]) if found["ok"] else None

    def create(self, key, version):
        return self.call("CreateCacheEntry", {"key": key, "version": version})

    def begin(self, key, version):
        """The URL of a fresh upload."""
        answer = status(self.create(key, version), 200)
        made = answer.json()
        if made.get("ok") is not True or not made.get("signed_upload_url"):
            raise Failed(f"not created: {answer}")
        return made["signed_upload_url"]

    def finish(self, key, version, size):
        return self.call("FinalizeCacheEntryUpload", {"key": key, "size_bytes": str(size), "version": version})

    def finished(self, key, version, size):
        """The id of the entry, as the toolkit reads it."""
        answer = status(self.finish(key, version, size), 200)
        made = answer.json()
        if made.get("ok") is not True or not 0 < int(made.get("entry_id", "0")) < 1 << 53:
            raise Failed(f"not finalized: {answer}")
        return made["entry_id"]

    def save(self, key, version, data):
        status(put_blob(self.begin(key, version), data), 201)
        return self.finished(key, version, len(data))


class Go(Json):
    """The second generation as go-actions-cache sends it: numbers as numbers, all keys repeated."""

    def __init__(self, base, token):
        super().__init__(base, token, "go-actions-cache/1.0")

    def look(self, key, version, restore=()):
        asked = {"key": key, "restore_keys": [key, *restore], "version": version}
        return self.call("GetCacheEntryDownloadURL", asked)

    def finish(self, key, version, size):
        return self.call("FinalizeCacheEntryUpload", {"key": key, "size_bytes": size, "version": version})


def go_refusal(answer):
    """Whether go-actions-cache takes this answer for "exists"; anything else fails a BuildKit export."""
    said = answer.json()
    if "typeKey" in said:
        return "AlreadyExists" in said["typeKey"] or "already exists" in said.get("message", "").lower()
    known = said.get("code") == "already_exists"
    return known and "already exists" in said.get("message", "already exists").lower()


# The sets of request headers of the three SDKs for blobs.
SDK = {
    "js": {"Accept": "application/xml", "x-ms-version": "2026-04-06",
           "User-Agent": "azsdk-js-azure-storage-blob/12.32.0 core-rest-pipeline/1.22.0 Node/20.20.2"},
    "go": {"Accept": "application/xml", "x-ms-version": "2020-10-02", "User-Agent": "azsdk-go-azblob/v0.4.1 (go1.23)"},
    "opendal": {"x-ms-version": "2022-11-02", "User-Agent": "opendal/0.55.0"},
}


def sdk_headers(sdk, **more):
    """OpenDAL sends no id of the request."""
    own = {} if sdk == "opendal" else {"x-ms-client-request-id": str(uuid.uuid4())}
    return SDK[sdk] | own | {name.replace("_", "-"): value for name, value in more.items()}


def js_id(prefix, nth):
    """48 bytes: a uuid as text, and the index in 12 digits."""
    return prefix.encode() + b"%012d" % nth


def go_id(prefix, nth):
    """64 bytes: a uuid, the index in four, zeros."""
    return (prefix + nth.to_bytes(4, "big")).ljust(64, b"\0")


def ids(sdk, count):
    if sdk == "js":
        prefix = str(uuid.uuid4())
        return [js_id(prefix, nth) for nth in range(count)]
    if sdk == "go":
        prefix = secrets.token_bytes(16)
        return [go_id(prefix, nth) for nth in range(count)]
    return [secrets.token_bytes(16) for _ in range(count)]


def with_query(url, query, sdk):
    """The SDKs of Azure append to the query; OpenDAL puts its own in front."""
    path, _, signed = url.partition("?")
    return f"{path}?{query}&{signed}" if sdk == "opendal" else f"{url}&{query}"


def block_url(url, block, sdk):
    name = urllib.parse.quote(base64.b64encode(block).decode(), safe="/" if sdk == "opendal" else "")
    # Go sorts what it adds, so the id comes first.
    query = f"blockid={name}&comp=block" if sdk == "go" else f"comp=block&blockid={name}"
    return with_query(url, query, sdk)


def put_blob(url, data, sdk="js", **more):
    headers = sdk_headers(sdk, x_ms_blob_type="BlockBlob", Content_Type="application/octet-stream") | more
    return ask("PUT", url, headers, data)


def put_block(url, block, data, sdk="js", connection=None):
    headers = sdk_headers(sdk, Content_Type="application/octet-stream")
    return ask("PUT", block_url(url, block, sdk), headers, data, connection=connection)


def block_list(blocks, sdk="js", tag="Latest"):
    items = "".join(f"<{tag}>{base64.b64encode(block).decode()}</{tag}>" for block in blocks)
    head = {
        "js": '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>',
        "go": '<?xml version="1.0" encoding="UTF-8"?>\n',
        "opendal": '<?xml version="1.0" encoding="utf-8"?>',
    }[sdk]
    return f"{head}<BlockList>{items}</BlockList>".encode()


def put_list(url, blocks, sdk="js", xml=None):
    more = {} if sdk == "opendal" else {"Content_Type": "application/xml; charset=UTF-8"}
    body = block_list(blocks, sdk) if xml is None else xml
    return ask("PUT", with_query(url, "comp=blocklist", sdk), sdk_headers(sdk, **more), body)


def get(url, **headers):
    """A download: no token, whoever asks."""
    return ask("GET", url, {"User-Agent": "actions/cache"} | {name.replace("_", "-"): value for name, value in headers.items()})


def pieces(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]
