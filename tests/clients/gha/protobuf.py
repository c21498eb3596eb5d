"""The messages of the cache service in protobuf, by hand: as OpenDAL sends and reads them."""

from dialects import SERVICE
from web import Failed, ask, status

LOOK, CREATE, FINISH = "GetCacheEntryDownloadURL", "CreateCacheEntry", "FinalizeCacheEntryUpload"


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def encode(fields):
    """`fields` are pairs of a number and a text or an int; proto3 leaves out what is empty."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value) if value else b""
        elif value:
            data = value.encode()
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def decode(data):
    """Number to value: text or int."""
    found, at = {}, 0
    try:
        while at < len(data):
            tag, at = read_varint(data, at)
            if tag & 7 == 0:
                found[tag >> 3], at = read_varint(data, at)
            elif tag & 7 == 2:
                length, at = read_varint(data, at)
                if at + length > len(data):
                    raise IndexError
                found[tag >> 3], at = data[at : at + length].decode(), at + length
            else:
                raise Failed(f"wire type {tag & 7} in {data[:80]!r}")
    except (IndexError, UnicodeDecodeError) as error:
        raise Failed(f"not protobuf: {data[:80]!r}") from error
    return found


class Proto:
    """The second generation as OpenDAL speaks it. Mind `version`: field 3 in one message, 4 in the others."""

    def __init__(self, base, token):
        self.base = base
        self.headers = {"Content-Type": "application/protobuf"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def call(self, method, body):
        return ask("POST", f"{self.base}{SERVICE}{method}", self.headers, body)

    def read(self, answer):
        status(answer, 200)
        if answer.header("content-type") != "application/protobuf":
            raise Failed(f"{answer}: not application/protobuf")
        return decode(answer.body)

    def look(self, key, version):
        return self.call(LOOK, encode([(2, key), (4, version)]))

    def find(self, key, version):
        """(matched key, download URL), or None."""
        found = self.read(self.look(key, version))
        return (found.get(3), found.get(2)) if found.get(1) else None

    def create(self, key, version):
        return self.call(CREATE, encode([(2, key), (3, version)]))

    def begin(self, key, version):
        made = self.read(self.create(key, version))
        if made.get(1) != 1 or not made.get(2):
            raise Failed(f"not created: {made.get(3)!r}")
        return made[2]

    def finish(self, key, version, size):
        return self.call(FINISH, encode([(2, key), (3, size), (4, version)]))

    def finished(self, key, version, size):
        made = self.read(self.finish(key, version, size))
        if made.get(1) != 1 or not made.get(2):
            raise Failed(f"not finalized: {made}")
        return made[2]
