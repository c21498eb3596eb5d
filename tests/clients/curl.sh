#!/usr/bin/env bash
# Plain HTTP with curl: every method, ranges, refused and broken uploads, and the ways to send a token.
. "$(dirname "$0")/lib.sh"
need curl
say "$(curl --version | head -n 1 | cut -d' ' -f1-2)"
serve_dev

upload() { status_as "$ACME" -T "$1" "$URL/$2" "${@:3}"; }
same() { cmp -s "$1" "$2" || fail "$3: the bytes differ"; }

say "store, read, and the other tenant misses"
note http
head -c 100000 /dev/urandom >"$WORK/a"
equal "PUT" "$(upload "$WORK/a" dir/a)" 201
equal "GET" "$(status_as "$ACME" "$URL/dir/a")" 200
same "$WORK/a" "$WORK/body" GET
equal "Content-Length" "$(header content-length)" 100000
equal "Content-Type" "$(header content-type)" application/octet-stream
etag=$(header etag)
[[ $etag == \"*\" ]] || fail "GET: no strong ETag: '$etag'"
equal "GET of another tenant" "$(status_as "$GLOBEX" "$URL/dir/a")" 404
[ -n "$(header content-length)" ] || fail "a 404 without Content-Length: Bazel takes that for an error"
wait_until 10 "PUT counts as stored" since_is 1 http PUT stored
wait_until 10 "GET counts as hit" since_is 1 http GET hit
wait_until 10 "GET of another tenant counts as miss" since_is 1 http GET miss
equal "hits by the server's count" "$(since http GET hit)" 1

say "HEAD"
equal "HEAD" "$(status_as "$ACME" -I "$URL/dir/a")" 200
equal "HEAD: Content-Length" "$(header content-length)" 100000
equal "HEAD: ETag" "$(header etag)" "$etag"
equal "HEAD of a key that is not there" "$(status_as "$ACME" -I "$URL/dir/none")" 404
equal "HEAD of another tenant" "$(status_as "$GLOBEX" -I "$URL/dir/a")" 404

say "conditions"
equal "If-None-Match" "$(status_as "$ACME" -H "If-None-Match: $etag" "$URL/dir/a")" 304
equal "If-None-Match of another version" "$(status_as "$ACME" -H 'If-None-Match: "x"' "$URL/dir/a")" 200
equal "PUT with If-None-Match: *" "$(upload "$WORK/a" dir/a -H 'If-None-Match: *')" 412
as "$ACME" --etag-save "$WORK/etag" -o /dev/null "$URL/dir/a"
equal "curl --etag-compare" "$(status_as "$ACME" --etag-compare "$WORK/etag" "$URL/dir/a")" 304

say "overwrite"
head -c 100000 /dev/urandom >"$WORK/b"
equal "PUT over an entry" "$(upload "$WORK/b" dir/a)" 201
equal "GET after it" "$(status_as "$ACME" "$URL/dir/a")" 200
same "$WORK/b" "$WORK/body" "GET after an overwrite"
[ "$(header etag)" != "$etag" ] || fail "the ETag of a new version is the old one"

say "ranges"
equal "-r 100-199" "$(status_as "$ACME" -r 100-199 "$URL/dir/a")" 206
equal "Content-Range" "$(header content-range)" "bytes 100-199/100000"
same <(tail -c +101 "$WORK/b" | head -c 100) "$WORK/body" "-r 100-199"
equal "-r -10" "$(status_as "$ACME" -r -10 "$URL/dir/a")" 206
same <(tail -c 10 "$WORK/b") "$WORK/body" "-r -10"
equal "-r past the end" "$(status_as "$ACME" -r 99990-200000 "$URL/dir/a")" 206
equal "Content-Range cut" "$(header content-range)" "bytes 99990-99999/100000"
equal "-r behind the end" "$(status_as "$ACME" -r 100000- "$URL/dir/a")" 416
equal "Content-Range of a 416" "$(header content-range)" "bytes */100000"
head -c 40000 "$WORK/b" >"$WORK/part"
as "$ACME" -f -C - -o "$WORK/part" "$URL/dir/a" || fail "curl -C - has failed"
same "$WORK/b" "$WORK/part" "-C -"

say "bodies of every kind"
printf 'a=1&b=%%41+c' >"$WORK/form"
equal "POST with curl's form type" "$(status_as "$ACME" -X POST --data-binary "@$WORK/form" "$URL/form")" 201
equal "GET of it" "$(status_as "$ACME" "$URL/form")" 200
same "$WORK/form" "$WORK/body" "a form must not be parsed"
: >"$WORK/empty"
equal "PUT of nothing" "$(status_as "$ACME" -X PUT --data-binary "@$WORK/empty" "$URL/empty")" 201
equal "GET of nothing" "$(status_as "$ACME" "$URL/empty")" 200
equal "its Content-Length" "$(header content-length)" 0
equal "chunked from standard input" "$(status_as "$ACME" -T - "$URL/chunked" <"$WORK/a")" 201
equal "GET of it" "$(status_as "$ACME" "$URL/chunked")" 200
same "$WORK/a" "$WORK/body" "a chunked upload"
equal "PUT with Content-Range" "$(upload "$WORK/a" ranged -H 'Content-Range: bytes 0-9/100')" 400
equal "nothing of it was stored" "$(status_as "$ACME" "$URL/ranged")" 404

say "keys"
equal "PUT of a/b" "$(upload "$WORK/a" 'key/%61%2Fb')" 201
equal "the same key, spelt otherwise" "$(status_as "$ACME" "$URL/key/a/b")" 200
equal "a//b is another key" "$(status_as "$ACME" "$URL/key/a//b")" 404
equal "a query is no part of a key" "$(status_as "$ACME" "$URL/key/a/b?x=1")" 200
equal "dots" "$(status_as "$ACME" --path-as-is "$URL/key/../dir/a")" 400
equal "a broken escape" "$(status_as "$ACME" "$URL/key/%zz")" 400
equal "a key of 1025 bytes" "$(status_as "$ACME" "$URL/$(printf 'k%.0s' {1..1025})")" 414
for key in health metrics status; do
    equal "PUT of /$key" "$(upload "$WORK/form" $key)" 201
    equal "GET of /$key" "$(status_as "$ACME" "$URL/$key")" 200
    same "$WORK/form" "$WORK/body" "/$key is a key"
done
equal "an unknown method" "$(status_as "$ACME" -X PATCH "$URL/dir/a")" 405
[ -n "$(header allow)" ] || fail "a 405 without Allow"

say "the ways to send a token"
equal "Basic, the token as password" "$(status -u "jwt:$ACME" "$URL/dir/a")" 200
equal "Basic with an empty user" "$(status -u ":$ACME" "$URL/dir/a")" 200
equal "Basic in the URL" "$(status "http://jwt:$ACME@$HOST/dir/a")" 200
equal "Basic of another tenant" "$(status -u "jwt:$GLOBEX" "$URL/dir/a")" 404
equal "bearer in small letters" "$(status -H "authorization: bearer $ACME" "$URL/dir/a")" 200
equal "no token" "$(status "$URL/dir/a")" 401
challenges=$(tr -d '\r' <"$WORK/head" | grep -i '^www-authenticate:' | awk '{ print $2 }' | paste -sd' ')
equal "challenges" "$challenges" "Basic Bearer"
equal "no token, no such key" "$(status "$URL/none")" 401
equal "a forged token" "$(status_as "${ACME%?????}AAAAA" "$URL/dir/a")" 401
equal "a token of nobody" "$(status_as nonsense "$URL/dir/a")" 401

# The client must be able to read why, whether it waits for 100 or has begun to send.
say "refused uploads"
head -c 8000000 /dev/zero >"$WORK/eight"
truncate -s 3G "$WORK/huge"
sent() { awk '{ print $1 }' "$WORK/sent"; }
refused() { # WHAT STATUS TOKEN FILE HEADER
    local code=0
    curl -sS --max-time 60 -o "$WORK/body" -D "$WORK/head" -w '%{size_upload} %{http_code}' \
        -H "Authorization: Bearer $3" -H "$5" --expect100-timeout 30 -T "$4" "$URL/refused" >"$WORK/sent" 2>"$WORK/curl.err" || code=$?
    equal "$1: the status that curl could read (curl ended with $code: $(cat "$WORK/curl.err"))" "$(awk '{ print $2 }' "$WORK/sent")" "$2"
}
refused "401 with Expect" 401 nonsense "$WORK/eight" 'Expect: 100-continue'
equal "401 with Expect: bytes sent" "$(sent)" 0
refused "401 without Expect" 401 nonsense "$WORK/eight" 'Expect:'
refused "413 with Expect" 413 "$ACME" "$WORK/huge" 'Expect: 100-continue'
equal "413 with Expect: bytes sent" "$(sent)" 0
grep -q '"limit":' "$WORK/body" || fail "a 413 does not name the limit: $(head -c 200 "$WORK/body")"
refused "413 without Expect" 413 "$ACME" "$WORK/huge" 'Expect:'
grep -q '"size":3221225472' "$WORK/body" || fail "a 413 does not name the size: $(head -c 200 "$WORK/body")"
equal "nothing of them was stored" "$(status_as "$ACME" "$URL/refused")" 404
rm -f "$WORK/huge"

say "a large upload with Expect: 100-continue"
head -c 209715200 /dev/urandom >"$WORK/large"
equal "PUT of 200 MiB" "$(upload "$WORK/large" large -H 'Expect: 100-continue' --expect100-timeout 30)" 201
grep -q '^HTTP/1.1 100' "$WORK/head" || fail "no 100 Continue"
as "$ACME" -f "$URL/large" | cmp - "$WORK/large" || fail "200 MiB came back changed"
equal "a part from its middle" "$(status_as "$ACME" -r 104857600-104857699 "$URL/large")" 206
same <(tail -c +104857601 "$WORK/large" | head -c 100) "$WORK/body" "a part from its middle"

say "an upload that breaks off leaves nothing behind"
code=0
as "$ACME" --max-time 1 --limit-rate 1M -T "$WORK/large" "$URL/broken" >/dev/null 2>&1 || code=$?
equal "curl is cut by its own time limit" "$code" 28
cut_is_counted() { [ "$(count http PUT cut)" -ge 1 ]; }
wait_until 10 "the broken upload is counted" cut_is_counted
equal "GET of it" "$(status_as "$ACME" "$URL/broken")" 404
code=0
as "$ACME" --max-time 1 --limit-rate 1M -T "$WORK/large" "$URL/dir/a" >/dev/null 2>&1 || code=$?
equal "curl is cut by its own time limit" "$code" 28
equal "GET of an entry whose overwrite broke off" "$(status_as "$ACME" "$URL/dir/a")" 200
same "$WORK/b" "$WORK/body" "an overwrite that broke off must leave the old version"
rm -f "$WORK/large"

if curl --version | grep -q HTTP2; then
    say "HTTP/2"
    equal "PUT" "$(upload "$WORK/eight" h2 --http2-prior-knowledge)" 201
    equal "GET" "$(status_as "$ACME" --http2-prior-knowledge "$URL/h2")" 200
    same "$WORK/eight" "$WORK/body" "HTTP/2"
fi

say "DELETE"
equal "DELETE of another tenant" "$(status_as "$GLOBEX" -X DELETE "$URL/dir/a")" 404
equal "GET after it" "$(status_as "$ACME" "$URL/dir/a")" 200
equal "DELETE" "$(status_as "$ACME" -X DELETE "$URL/dir/a")" 204
equal "GET after it" "$(status_as "$ACME" "$URL/dir/a")" 404
equal "DELETE again" "$(status_as "$ACME" -X DELETE "$URL/dir/a")" 404

say "health and readiness"
equal "GET /healthz" "$(status "http://$OPS/healthz")" 200
equal "GET /readyz" "$(status "http://$OPS/readyz")" 200
stop_server "$PID"
