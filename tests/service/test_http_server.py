# SPDX-License-Identifier: MIT
"""The HTTP server alone: requests, bodies, framing, other protocols."""
import contextlib
import re
import socket
import time

import pytest

from echo import BEFORE, Client, HELLO, SMUGGLED, post, serving

pytest_plugins = ["echo"]


# --- plain requests ---------------------------------------------------------------------


def test_a_reply_has_its_headers(server):
    reply = server.get("/health")
    assert (reply.status, reply.body) == (200, b'{"status": "ok"}')
    assert reply.one("server") == "echo/1"
    assert reply.one("content-type") == "application/json"
    assert reply.one("cache-control") == "no-store"
    assert time.strptime(reply.one("date"), "%a, %d %b %Y %H:%M:%S GMT")
    assert not reply.all("connection")


def test_a_waited_for_reply_looks_like_any_other(server):
    client = server.client()
    at_once = client.get("/echo")
    late = client.get("/wait", "X-Wait: 20\r\n")
    assert late.body == b"waited"
    names = {k for k, _ in at_once.headers} - {"x-reply"}
    assert {k for k, _ in late.headers} - {"x-waited"} == names
    assert late.one("x-waited") == "yes"
    assert client.is_open()


def test_what_the_handler_sees(server):
    reply = server.get("/echo", "X-Test: a\r\nX-test: b \r\nX-Other: c\r\nX-TEST: d\r\n"
                                "X-Forwarded-For: z\r\n")
    text = reply.body.decode()
    assert "1.1=1" in text
    assert "peer=127.0.0.1 local=127.0.0.1" in text
    assert f"tls={int(server.context is not None)}" in text
    assert re.search("x-test=a, b ?, d again=a, b ?, d prefix=1 has=0", text), text


def test_a_forged_reply_header_is_left_out(server):
    reply = server.get("/echo")
    assert reply.one("x-reply") == "yes"
    assert not reply.all("evil") and not reply.all("x-forged")


@pytest.mark.parametrize("path", ["/health", "/health/", "/health?a=b", "/health/?a=b&c",
                                  "http://other/health", "/health?%00"])
def test_ways_to_name_a_path(common, path):
    assert common.get(path).status == 200


@pytest.mark.parametrize("path", ["/", "/healt", "/healthy", "/health//", "//health",
                                  "/health/x", "/HEALTH", "/health%00", "/%68ealth",
                                  "http://other", "*", "/../health"])
def test_unknown_paths(common, path):
    client = common.client()
    reply = client.get(path)
    assert (reply.status, reply.body) == (404, b'{"detail": "NOT_FOUND"}')
    assert client.is_open()


def test_a_method_that_is_not_allowed_names_those_that_are(server):
    client = server.client()
    for method in "PUT", "DELETE", "OPTIONS", "PATCH", "BREW", "get":
        reply = client.ask(f"{method} /echo/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reply.status == 405, method
        assert sorted(reply.one("allow").split(", ")) == ["GET", "HEAD", "POST"]
        assert b"METHOD_NOT_ALLOWED" in reply.body
    assert client.ask("POST /health HTTP/1.1\r\nHost: x\r\n\r\n").one("allow") == "GET, HEAD"


def test_head_is_get_without_the_body(server):
    client = server.client()
    for path in "/health", "/wait", "/nope":
        client.send(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nX-Wait: 20\r\n\r\n".encode())
        head = client.reply(is_head=True)
        get = client.get(path, "X-Wait: 20\r\n")
        assert head.status == get.status
        assert head.one("content-length") == str(len(get.body))
        assert head.one("content-type") == get.one("content-type")


@pytest.mark.parametrize("path", ["/health", "/wait"])
def test_http_1_0_closes(server, path):
    client = server.client()
    reply = client.ask(f"GET {path} HTTP/1.0\r\nX-Wait: 20\r\n\r\n")
    assert reply.status == 200
    assert reply.one("connection") == "close"
    assert client.ended()


def test_http_1_0_keep_alive(server):
    client = server.client()
    for _ in range(3):
        reply = client.ask("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert reply.status == 200
        assert reply.one("connection").lower() == "keep-alive"


@pytest.mark.parametrize("path,status", [("/wait", 200), ("/nope", 404), ("/health", 200)])
def test_http_1_0_keep_alive_for_every_kind_of_reply(server, path, status):
    client = server.client()
    for _ in range(2):
        reply = client.ask(f"GET {path} HTTP/1.0\r\nX-Wait: 20\r\n"
                           "Connection: Keep-Alive\r\n\r\n")
        assert (reply.status, reply.one("connection")) == (status, "keep-alive")
    reply = client.ask(f"GET {path} HTTP/1.0\r\nX-Wait: 20\r\n\r\n")
    assert (reply.status, reply.one("connection")) == (status, "close")
    assert client.ended()


def test_what_is_to_become_another_protocol_ends(server):
    """What follows is not read: the client may mean it for that protocol."""
    client = server.client()
    client.send(("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"
                 "Upgrade: h2c\r\n\r\n" + SMUGGLED).encode())
    reply = client.reply()
    assert (reply.status, reply.one("connection")) == (200, "close")
    assert client.ended()
    assert server.stats()["handled"] == 1


@pytest.mark.parametrize("line", ["Upgrade: h2c\r\n", "Connection: upgrade\r\n"])
def test_half_an_upgrade_is_none(server, line):
    client = server.client()
    reply = client.get("/health", line)
    assert (reply.status, reply.all("connection")) == (200, [])
    assert client.is_open()


def test_connect_is_not_allowed_and_ends(server):
    client = server.client()
    client.send(("CONNECT /echo HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED).encode())
    reply = client.reply()
    assert (reply.status, reply.one("connection")) == (405, "close")
    assert client.ended()
    assert server.stats()["handled"] == 0


def test_a_reply_in_pieces(server):
    client = server.client()
    client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n")
    while not client.data.endswith(b"\r\n0\r\n\r\n"):
        assert client.fill()
    head, body = client.data.split(b"\r\n\r\n", 1)
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert body == b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"
    client.data = b""
    assert client.is_open()


def test_head_of_a_reply_in_pieces_has_no_body(server):
    client = server.client()
    client.send(b"HEAD /stream HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n")
    assert client.reply(is_head=True).status == 200
    assert client.is_open()


def test_head_of_a_reply_in_pieces_over_http_1_0_closes(server):
    client = server.client()
    client.send(b"HEAD /stream HTTP/1.0\r\nX-Wait: 1\r\n\r\n")
    reply = client.reply(is_head=True)
    assert (reply.status, reply.one("connection")) == (200, "close")
    assert not reply.all("transfer-encoding")
    assert client.ended()


@pytest.mark.parametrize("path,status,lengths", [
    ("/no-content", 204, []), ("/not-modified", 304, ["4"])])
def test_a_status_that_has_no_body_drops_the_handlers_text(server, path, status, lengths):
    client = server.client().send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    reply = client.reply(is_head=True)
    assert (reply.status, reply.all("content-length")) == (status, lengths)
    assert client.is_open()


def test_a_reply_made_at_the_end_of_a_turn_is_sent_at_once(server):
    """The loop does not wait for another event first."""
    client = server.client()
    assert client.get("/late").body == b"late"
    assert client.is_open()


@pytest.mark.parametrize("path", ["/health", "/wait", "/nope"])
def test_the_client_may_ask_to_close(server, path):
    client = server.client()
    reply = client.get(path, "X-Wait: 20\r\nConnection: close\r\n")
    assert reply.one("connection") == "close"
    assert client.ended()


def test_many_requests_on_one_connection(server):
    client = server.client()
    for i in range(200):
        assert client.get("/health").status == 200
        assert client.ask(post("/echo", f"body {i}")).body == f"body {i}".encode()
        if i % 10 == 0:
            assert client.get("/wait", "X-Wait: 1\r\n").body == b"waited"
    assert server.stats()["connections"] == 2


def test_pipelined_requests_are_answered_in_order(server):
    client = server.client()
    requests = []
    for i in range(50):
        requests.append(post("/echo", f"body {i}"))
        if i % 7 == 0:
            requests.append("GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 3\r\n\r\n")
    client.send("".join(requests).encode())
    for i in range(50):
        assert client.reply().body == f"body {i}".encode()
        if i % 7 == 0:
            assert client.reply().body == b"waited"
    assert client.is_open()


def test_requests_byte_by_byte(server):
    client = server.client()
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    requests = [post("/echo", "hello"), "GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n",
                "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"]
    for byte in "".join(requests * 2).encode():
        client.send(bytes([byte]))
    for _ in range(2):
        assert client.reply().body == b"hello"
        assert client.reply().body == b"waited"
        assert client.reply().body == b'{"status": "ok"}'


def test_blank_lines_before_a_request(server):
    client = server.client()
    for _ in range(3):
        assert client.ask("\r\n\r\n" + post("/echo", "a")).body == b"a"


@pytest.mark.parametrize("request_text", [
    "\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n", "GET /health HTTP/1.1\nHost: x\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: x\n\r\n", "GET /health HTTP/1.1\r\nHost: x\r\n\n"])
def test_bare_line_feeds_are_refused(common, request_text):
    client = common.client()
    assert client.ask(request_text).status == 400
    assert client.ended()


# --- bodies --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4096, 20000, 65536])
def test_bodies_up_to_the_limit(server, size):
    body = "x" * size
    client = server.client()
    assert client.ask(post("/echo", body)).body == body.encode()
    chunk = f"{size:x}\r\n{body}\r\n0\r\n\r\n"
    assert client.ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                      + chunk).body == body.encode()
    assert client.is_open()


def test_chunks_come_together(server):
    client = server.client()
    for path in "/echo", "/wait":
        client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Wait: 5\r\n"
                    "Transfer-Encoding: Chunked\r\n\r\n".encode())
        for piece in "1\r\na\r\n", "a;ext=1\r\n0123456789", "\r\n3\r\nb", "cd\r\n0", "\r\n",\
                     "Trailer: 1\r\n\r\n":
            client.send(piece.encode())
        assert client.reply().body == (b"a0123456789bcd" if path == "/echo" else b"waited")
    assert client.is_open()


def test_a_body_with_nul_bytes(server):
    assert server.ask(post("/echo", "\0a\0\0b\0")).body == b"\0a\0\0b\0"


def test_expect_100_continue(server):
    client = server.client()
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                b"Expect: 100-continue\r\n\r\n")
    assert client.reply().status == 100
    assert client.send(b"abc").reply().body == b"abc"
    assert client.is_open()


@pytest.mark.parametrize("path,length,encoding,status", [
    ("/echo", 65537, "identity", 413), ("/nope", 3, "identity", 404),
    ("/health", 3, "identity", 405), ("/echo", 3, "gzip", 415)])
def test_a_refusal_comes_instead_of_100_continue(common, path, length, encoding, status):
    client = common.client()
    client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
                f"Content-Encoding: {encoding}\r\nExpect: 100-continue\r\n\r\n".encode())
    reply = client.reply()
    assert reply.status == status
    assert reply.one("connection") == "close"
    assert client.ended()


@pytest.mark.parametrize("version,body", [("1.1", b"abc"), ("1.1", b"a"), ("1.0", b"")])
def test_no_100_continue_where_it_is_not_waited_for(server, version, body):
    """The body, or a part of it, came with the head; HTTP/1.0 has no 100."""
    client = server.client()
    client.send(b"POST /echo HTTP/%b\r\nHost: x\r\nContent-Length: 3\r\nConnection: keep-alive"
                b"\r\nExpect: 100-continue\r\n\r\n%b" % (version.encode(), body))
    if len(body) < 3:
        server.until(exchanges=2)
        client.send(b"abc"[len(body):])
    reply = client.reply()
    assert (reply.status, reply.body) == (200, b"abc")
    assert client.is_open()


@pytest.mark.parametrize("encoding", ["gzip", "br", "x", "gzip, identity"])
def test_an_encoded_body_is_refused(common, encoding):
    handled = common.stats()["handled"]
    line = f"Content-Encoding: {encoding}\r\n"
    for request in (post("/echo", "abc", line),
                    f"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{line}"
                    "\r\n3\r\nabc\r\n0\r\n\r\n"):
        client = common.client()
        reply = client.ask(request + SMUGGLED)
        assert (reply.status, reply.body) == (415, b'{"detail": "UNSUPPORTED_ENCODING"}')
        assert reply.one("connection") == "close"
        assert client.ended()
    assert common.stats()["handled"] == handled


def test_an_encoding_that_changes_nothing(server):
    client = server.client()
    for encoding in "identity", "Identity":
        line = f"Content-Encoding: {encoding}\r\n"
        assert client.ask(post("/echo", "abc", line)).body == b"abc"
    assert client.get("/echo", "Content-Encoding: gzip\r\n").status == 200
    assert client.ask(post("/echo", "", "Content-Encoding: gzip\r\n")).status == 200
    assert client.is_open()


@pytest.mark.parametrize("size", [65537, 200_000, 10 * 1024 * 1024])
def test_a_body_too_large_is_told_although_it_is_being_sent(server, size):
    client = server.client()
    with contextlib.suppress(ConnectionError):
        client.send(f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        client.send(b"x" * size)
    reply = client.reply()
    assert (reply.status, reply.body) == (413, b'{"detail": "BODY_TOO_LARGE"}')
    assert client.ended()


@pytest.mark.parametrize("size", [65537, 800_000])
def test_a_chunked_body_too_large(server, size):
    client = server.client()
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size))
    reply = client.reply()
    assert (reply.status, reply.body) == (413, b'{"detail": "BODY_TOO_LARGE"}')
    assert reply.one("connection") == "close"
    assert client.ended()
    assert server.stats()["handled"] == 0


def test_an_endless_chunked_body_is_cut_off(plain):
    client = plain.client()
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(3 * 1024 * 1024 // 65536):
        client.send(b"10000\r\n%b\r\n" % (b"x" * 65536))
    assert client.reply().status == 413
    assert client.ended()


def test_a_route_without_a_body_takes_an_empty_one(server):
    client = server.client()
    assert client.get("/health", "Content-Length: 0\r\n").status == 200
    assert client.get("/health", "Content-Length: 1\r\n").status == 413


LARGE = b"x" * (3 * 1024 * 1024)
ANSWERED_BY_THE_SERVER = {
    "no such path": (b"GET /nope HTTP/1.1\r\n", b"", 404),
    "no such path, with a body": (b"POST /nope HTTP/1.1\r\nContent-Length: 1\r\n", b"x", 404),
    "no such path, in chunks": (b"POST /nope HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
                                b"0\r\n\r\n", 404),
    "no such method": (b"DELETE /health HTTP/1.1\r\n", b"", 405),
    "a large body": (b"POST /echo HTTP/1.1\r\nContent-Length: 65537\r\n", b"", 413),
    "a large body in chunks": (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
                               b"10001\r\n%b\r\n0\r\n\r\n" % LARGE[:65537], 413),
    "an endless body": (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
                        b"300000\r\n" + LARGE, 413),
    "a slow body": (b"POST /echo HTTP/1.1\r\nContent-Length: 9\r\n", b"x", 408),
    "a slow body in chunks": (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
                              b"3\r\nx", 408),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("what", ANSWERED_BY_THE_SERVER)
def test_the_servers_own_answers_know_the_request(common_hasty, what, before):
    head, body, status = ANSWERED_BY_THE_SERVER[what]
    client = common_hasty.client()
    BEFORE[before](client)
    with contextlib.suppress(OSError):
        client.send(head + b"Host: x\r\nMark: known\r\n\r\n" + body)
    reply = client.reply()
    assert (reply.status, reply.one("marked")) == (status, "known")


NOT_UNDERSTOOD = {
    "two hosts": ("Host: y\r\n", 400),
    "large headers": ("X-Long: " + "x" * 9000 + "\r\n", 431),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("what", NOT_UNDERSTOOD)
def test_nothing_is_taken_from_a_head_that_was_not_understood(common, what, before):
    lines, status = NOT_UNDERSTOOD[what]
    client = common.client()
    BEFORE[before](client)
    reply = client.get("/health", "Mark: known\r\n" + lines)
    assert (reply.status, reply.all("marked")) == (status, [])


# --- framing: what two parsers could read differently ----------------------------------------

AMBIGUOUS = {
    "length and chunked": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6\r\n",
    "the same length twice": "Content-Length: 5\r\nContent-Length: 5\r\n",
    "two zero lengths": "Content-Length: 0\r\nContent-Length: 0\r\n",
    "a list of lengths": "Content-Length: 5, 5\r\n",
    "a signed length": "Content-Length: +5\r\n",
    "a negative length": "Content-Length: -5\r\n",
    "a hexadecimal length": "Content-Length: 0x5\r\n",
    "an empty length": "Content-Length:\r\n",
    "a length beyond all": "Content-Length: 99999999999999999999999\r\n",
    "gzip, chunked": "Transfer-Encoding: gzip, chunked\r\n",
    "identity": "Transfer-Encoding: identity\r\n",
    "xchunked": "Transfer-Encoding: xchunked\r\n",
    "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked and identity": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "a vertical tab before chunked": "Transfer-Encoding: \x0bchunked\r\n",
    "space before the colon": "Transfer-Encoding : chunked\r\n",
    "tab before the colon": "Content-Length\t: 5\r\n",
    "a folded line": "X-A: b\r\n c\r\n",
    "a folded chunked": "Transfer-Encoding:\r\n chunked\r\n",
    "a folded last line": "Content-Length: 5\r\nX-A: b\r\n\tTransfer-Encoding: chunked\r\n",
    "a first line that is folded": " X-A: b\r\nContent-Length: 5\r\n",
    "a NUL in a value": "X-A: b\0c\r\n",
    "a NUL in a name": "X-\0A: b\r\n",
    "a bare CR": "X-A: b\rTransfer-Encoding: chunked\r\n",
    "no name": ": b\r\n",
    "no colon": "Transfer-Encoding chunked\r\n",
    "two hosts": "Host: y\r\n",
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_framing_is_refused(common, name, before):
    handled = common.stats()["handled"]
    client = common.client()
    BEFORE[before](client)
    request = f"POST /echo HTTP/1.1\r\nHost: x\r\n{AMBIGUOUS[name]}\r\n"
    client.send((request + "0\r\n\r\n" + SMUGGLED * 2).encode("latin-1"))
    reply = client.reply()
    assert reply.status == (413 if name == "a length beyond the limit" else 400), reply
    assert reply.one("connection") == "close"
    assert client.ended()
    assert common.stats()["handled"] == handled


def test_http_1_0_has_no_chunks(server):
    client = server.client()
    client.send(b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                + SMUGGLED.encode())
    assert client.reply().status == 400
    assert client.ended()
    assert server.stats()["handled"] == 0


@pytest.mark.parametrize("chunks", ["x\r\n", "-1\r\n", "5\r\nhelloX\r\n", "\r\n", "0x5\r\nhello",
                                    "5 \r\nhello\r\n", "fffffffffffffffff\r\n"])
def test_broken_chunks(common, chunks):
    handled = common.stats()["handled"]
    client = common.client()
    client.send(("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                 + chunks + "\r\n0\r\n\r\n" + SMUGGLED).encode())
    assert client.reply().status == (413 if chunks.startswith("f") else 400)
    assert client.ended()
    assert common.stats()["handled"] == handled


@pytest.mark.parametrize("garbage", [b"\0" * 100 + b"\n\n",
                                     b"GET\n\n", b"GET /health\n\n", b"a b c d\r\n\r\n",
                                     b"GET /health HTTP/9.9\r\n\r\n", b"\xff\xfe\n\r\n",
                                     b"GET /health HTTP/1.1\r\nHost: x\r\n:\r\n\r\n"])
def test_garbage(plain, garbage):
    client = plain.client().send(garbage)
    while client.fill():
        pass
    assert b" 200 " not in client.data
    assert plain.get("/health").status == 200


def fat(size, line=500):
    """A request whose head is `size` bytes."""
    head = "GET /health HTTP/1.1\r\nHost: x\r\n"
    while len(head) + 2 < size:
        room = min(line, size - 2 - len(head))
        if size - 2 - len(head) - room < 5:
            room = size - 2 - len(head)
        head += "a:" + "b" * (room - 4) + "\r\n"
    return (head + "\r\n").encode()


@pytest.mark.parametrize("before", BEFORE)
def test_headers_up_to_the_limit(server, before):
    client = server.client()
    BEFORE[before](client)
    assert len(fat(8192)) == 8192
    assert client.send(fat(8192)).reply().status == 200
    reply = client.send(fat(8193)).reply()
    assert (reply.status, reply.body) == (431, b'{"detail": "HEADERS_TOO_LARGE"}')
    assert client.ended()


@pytest.mark.parametrize("line", [40, 50, 100, 8000])
def test_first_headers_of_many_lines(plain, line):
    """More than a small buffer can hold, but within the limits."""
    client = plain.client()
    assert client.send(fat(8192, line)).reply().status == 200
    assert client.send(fat(8192, line)).reply().status == 200
    assert client.is_open()


def test_a_first_head_of_too_many_lines(plain):
    client = plain.client().send(fat(8000, 8))
    assert client.reply().body == b'{"detail": "HEADERS_TOO_LARGE"}'
    assert client.ended()


@pytest.mark.parametrize("line", [8, 100, 100_000])
def test_headers_far_beyond_the_limit(plain, line):
    client = plain.client()
    with contextlib.suppress(ConnectionError):
        client.send(fat(300_000, line))
    reply = client.reply()
    assert (reply.status, reply.body) == (431, b'{"detail": "HEADERS_TOO_LARGE"}')
    assert client.ended()


def test_headers_beyond_the_limit_on_a_later_request(server):
    client = server.client()
    assert client.is_open()
    client.send(fat(30_000))
    assert client.reply().status == 431
    assert client.ended()


# --- another protocol ------------------------------------------------------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize("is_tls,sent,fault,spoken", [
    (False, HELLO, "TLS_AT_PLAIN", "TLS on a plain HTTP port"),
    (True, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "PLAIN_AT_TLS",
     "plain HTTP on an HTTPS port"),
    (True, b"G", "PLAIN_AT_TLS", "plain HTTP on an HTTPS port"),
    (False, PREFACE, "HTTP_2", "HTTP/2"),
    (False, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
     "PROXY_PROTOCOL", "the PROXY protocol"),
    (False, b"PROXY UNKNOWN\r\n", "PROXY_PROTOCOL", "the PROXY protocol"),
    (False, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\0\1\0\2",
     "PROXY_PROTOCOL", "the PROXY protocol"),
])
def test_another_protocol_is_named(pem, is_tls, sent, fault, spoken):
    """To the client and, once a second, to the operator."""
    line = rf'time=\S+ level=info event=wrong_protocol peer=127.0.0.1 spoken="?{spoken}"?\n'
    with serving(log=f"({line}){{1,3}}", **(pem if is_tls else {})) as server:
        for _ in range(20):
            client = Client(server.raw())
            server.clients.append(client)
            reply = client.send(sent).reply()
            assert (reply.status, reply.body) == (400, f'{{"detail": "{fault}"}}'.encode())
            assert reply.one("connection") == "close"
            assert not reply.all("strict-transport-security")
            assert client.ended()


def test_http_2_and_the_proxy_protocol_are_named_over_tls_too(pem):
    with serving(log=r".*event=wrong_protocol.*\n", **pem) as server:
        for sent, fault in (PREFACE, "HTTP_2"), (b"PROXY UNKNOWN\r\n", "PROXY_PROTOCOL"):
            client = server.client()
            assert client.send(sent).reply().body == f'{{"detail": "{fault}"}}'.encode()
            assert client.ended()
