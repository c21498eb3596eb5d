"""Requests byte for byte as the clients send them, and what the checks say about answers; standard library only."""

import http.client
import json
import socket
import threading
import time
import urllib.parse

TIMEOUT = 60


class Failed(Exception):
    """A check has seen something else than it must."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        return self.headers.get(name)

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failed(f"{self}: not JSON") from error

    def __str__(self):
        """For messages; links are cut, so that no signature stands in a log."""
        shown = self.body[:160].decode("utf-8", "replace").replace("\n", " ")
        return f"{self.status} {self.header('content-type') or '-'} {len(self.body)} bytes {shown.split('sig=')[0]!r}"


def connect(url):
    parts = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)


def target(url):
    """The URL without scheme and host, exactly as it was written."""
    rest = url.split("://", 1)[1]
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


def send(connection, method, url, headers, body, chunked):
    # Whatever http.client would add itself, clients may not send.
    connection.putrequest(method, target(url), skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if chunked:
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for start in range(0, len(body), 65536):
            piece = body[start : start + 65536]
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
        return
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    if body:
        connection.send(body)


def ask(method, url, headers=None, body=None, chunked=False, connection=None):
    """One request and its whole answer; over a connection of its own unless one is given."""
    mine = connection or connect(url)
    try:
        try:
            send(mine, method, url, headers or {}, body, chunked)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a refusal may come before the body has left; it is read below
        response = mine.getresponse()
        return Answer(response.status, response.headers, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{method} {target(url).split('?')[0]}: {error!r}") from error
    finally:
        if connection is None:
            mine.close()


def cut_off(method, url, headers, length, body):
    """Announces `length` bytes, sends `body` and hangs up."""
    parts = urllib.parse.urlsplit(url)
    lines = [f"{method} {target(url)} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((parts.hostname, parts.port), TIMEOUT) as stream:
        stream.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        # Our end first: the server has read everything before it notices.
        stream.shutdown(socket.SHUT_WR)
        while stream.recv(65536):
            pass


def parallel(jobs, threads):
    """Runs all jobs on so many threads; answers their results in order, or fails with the first failure."""
    results, failures = [None] * len(jobs), []
    turn = iter(range(len(jobs)))
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                nth = next(turn, None)
            if nth is None or failures:
                return
            try:
                results[nth] = jobs[nth]()
            except Exception as error:  # told by the caller
                failures.append(error)

    pool = [threading.Thread(target=work) for _ in range(threads)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    if failures:
        raise failures[0]
    return results


def expect(what, seen, wanted):
    if seen != wanted:
        raise Failed(f"{what}: {str(seen)[:200]!r}, expected {str(wanted)[:200]!r}")


def holds(what, truth, seen=""):
    if not truth:
        raise Failed(f"{what}: {seen}")


def status(answer, *wanted):
    """The status is one of these; a family is written as its hundreds (2 for 2xx)."""
    if answer.status not in wanted and answer.status // 100 not in wanted:
        raise Failed(f"{answer}, expected status {' or '.join(map(str, wanted))}")
    return answer


def anew(again, refusal):
    """The first answer that is not `refusal`: an upload that was left behind gives way after some seconds, not at once."""
    begun = time.monotonic()
    while (answer := again()).status == refusal:
        if time.monotonic() - begun > 30:
            raise Failed(f"{answer}, for 30 s")
        time.sleep(0.2)
    if time.monotonic() - begun < 4:
        raise Failed(f"{answer} at once")
    return status(answer, 2)


def same(what, seen, wanted):
    """Equal bytes; says where they differ rather than showing them."""
    if seen == wanted:
        return
    at = next((n for n, pair in enumerate(zip(seen, wanted)) if pair[0] != pair[1]), min(len(seen), len(wanted)))
    raise Failed(f"{what}: {len(seen)} bytes, expected {len(wanted)}; they differ from byte {at} on")
