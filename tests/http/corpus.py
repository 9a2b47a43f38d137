# SPDX-License-Identifier: MIT
"""Odd requests, and what the server must make of each.

A case is a stream of bytes that a client sends on one connection. MARKER follows every
case: a parser that ends the case elsewhere than we do does not see it as a request.
Where two framings compete, the bytes of one are a whole request (SMUGGLED) for the other.
"""
from dataclasses import dataclass

# What follows the replies to a case.
NEXT = "next"  # the marker, answered
END = "end"  # the connection's end
WAIT = "wait"  # nothing: more bytes are awaited, the marker's were taken for the case's


@dataclass(frozen=True)
class Head:
    """A reply to HEAD: no body follows."""
    status: int


HEAD = Head(200)

ENDING = (400, 404, 405, 413, 415, 431)  # statuses after which a connection may end

MARKED = b"MARKER"
MARKER = (b"POST /echo HTTP/1.1\r\nHost: m\r\nConnection: close\r\n"
          b"Content-Length: 6\r\n\r\n" + MARKED)
SMUGGLED = b"POST /echo HTTP/1.1\r\nHost: s\r\nContent-Length: 8\r\n\r\nSMUGGLED"

POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
POST10 = b"POST /echo HTTP/1.0\r\nHost: x\r\n"
GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
LENGTH = b"Content-Length: 5\r\n"

HEAD_MAX = 8192
FIELDS_MAX = 256
EXTRA_MAX = 8192  # chunk extensions and trailers
BODY_MAX = 65536


@dataclass(frozen=True)
class Case:
    group: str  # what is odd about it; a row of docs/http.md where parsers differ
    name: str
    data: bytes
    replies: tuple  # the body of a 200 to POST /echo, a Head, or a status
    then: str

    @property
    def stream(self):
        return self.data + MARKER

    @property
    def is_refused(self):
        """Whether the last reply is one that ends the connection for its request's sake."""
        last = self.replies[-1] if self.replies else None
        return self.then == END and getattr(last, "status", last) in ENDING

    @property
    def bodies(self):
        """The bodies of the requests that we take, the marker's among them."""
        taken = self.replies[:-1] if self.is_refused else self.replies
        bodies = [reply if isinstance(reply, bytes) else b"" for reply in taken]
        return bodies + [MARKED] if self.then == NEXT else bodies

    def __str__(self):
        return f"{self.group}: {self.name}"


CASES = []


def takes(group, name, data, *replies, then=NEXT):
    CASES.append(Case(group, name, data, replies, then))


def refuses(group, name, data, *before, status=400):
    """Refused and closed; `before` are the replies to what came before it."""
    takes(group, name, data, *before, status, then=END)


def shown(data):
    """Bytes as a name: visible, and short."""
    text = data.decode("latin-1").encode("unicode_escape").decode()
    return text if len(text) <= 40 else f"{text[:28]}..({len(data)})"


# --- Content-Length -----------------------------------------------------------------------

for value in (b"5", b"05", b"0000000000000000000000000005", b"5 ", b"  5", b"\t5\t",
              b" \t 5 \t "):
    takes("tabs around a length or a coding" if b"\t" in value else "a length",
          shown(value),
          POST + b"Content-Length:" + value + b"\r\n\r\nhello", b"hello")
for name in b"content-length", b"CONTENT-LENGTH", b"cOnTeNt-LeNgTh":
    takes("a length", shown(name), POST + name + b": 5\r\n\r\nhello", b"hello")
takes("a length", "none", POST + b"\r\n", b"")
takes("a length", "0", POST + b"Content-Length: 0\r\n\r\n", b"")
takes("a length", "GET with 0", GET + b"Content-Length: 0\r\n\r\n", 200)
refuses("a body that the route does not allow", "GET with 5", GET + LENGTH + b"\r\nhello",
        status=413)
refuses("a body that the route does not allow", "GET with a smuggled one",
        GET + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, status=413)
refuses("a body that the route does not allow", "HEAD with 5",
        GET.replace(b"GET", b"HEAD") + LENGTH + b"\r\nhello", status=Head(413))
refuses("a body that the route does not allow", "DELETE with 5",
        GET.replace(b"GET", b"DELETE") + LENGTH + b"\r\nhello", status=405)
refuses("a body that the route does not allow", "no such path",
        POST.replace(b"/echo", b"/nope") + LENGTH + b"\r\nhello", status=404)
refuses("a body that the route does not allow", "no such path, in chunks",
        POST.replace(b"/echo", b"/nope") + CHUNKED + b"\r\n" + CHUNKS, status=404)
refuses("a body that the route does not allow", "GET in chunks",
        GET + CHUNKED + b"\r\n" + CHUNKS,
        status=413)

for value in (b"+5", b"-5", b"-0", b"+0", b"0x5", b"0b101", b"5.0", b"5e0", b"5_", b"0_5",
              b"5;",
              b"5;a=b", b'"5"', b"'5'", b"5h", b"h5", b"five", b"5 5", b"5\t5",
              b"\xef\xbc\x95",
              b"5\xa0", b"\xa05", b"5%00", b"(5)", b"5#", b"*"):
    refuses("a malformed length", shown(value),
            POST + b"Content-Length: " + value + b"\r\n\r\nhello")
for value in b"", b" ", b"\t":
    refuses("an empty length", shown(value),
            POST + b"Content-Length:" + value + b"\r\n\r\n")
    refuses("an empty length", shown(value) + " and a request",
            POST + b"Content-Length:" + value + b"\r\n\r\n" + SMUGGLED)
for value in b"5,5", b"5, 5", b"5, 6", b"5,", b",5", b"0, 5", b"5,5,5", b"05, 5":
    refuses("a list of lengths", shown(value),
            POST + b"Content-Length: " + value + b"\r\n\r\nhello")
for first, second, body in ((b"5", b"5", b"hello"), (b"5", b"6", b"hello"),
                            (b"0", b"0", b""),
                            (b"5", b"05", b"hello"),
                            (b"0", b"%d" % len(SMUGGLED), SMUGGLED),
                            (b"%d" % len(SMUGGLED), b"0", SMUGGLED), (b"5", b"", b"hello"),
                            (b"", b"5", b"hello")):
    group = "two equal lengths" if first == second else "two different lengths"
    refuses(group, f"{shown(first)} and {shown(second)}",
            POST + b"Content-Length: %b\r\nContent-Length: %b\r\n\r\n%b" % (first, second,
                                                                            body))
refuses("two equal lengths", "names in other cases",
        POST + b"Content-Length: 5\r\nX: y\r\nCONTENT-LENGTH: 5\r\n\r\nhello")
for value in (2**32 + 5, 2**63 - 1):
    refuses("a length above our limit", f"{value}",
            POST + b"Content-Length: %d\r\n\r\nhello" % value, status=413)
for value in (2**63, 2**63 + 5, 2**64, 2**64 + 5, 2**128 + 5, 10**40 + 5):
    refuses("a length above 63 bits", f"{value}",
            POST + b"Content-Length: %d\r\n\r\nhello" % value)

for name in (b"Content_Length", b"X-Content-Length", b"Content-Lengths", b"ContentLength",
             b"Content-Length-", b"Content--Length"):
    takes("a name like that of a length", shown(name), POST + name + b": 5\r\n\r\n", b"")
    takes("a name like that of a length", shown(name) + " and a request",
          POST + name + b": %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, b"", b"SMUGGLED")

# --- Transfer-Encoding --------------------------------------------------------------------

for value in b"chunked", b"Chunked", b"CHUNKED", b"cHuNkEd", b"  chunked", b"\tchunked \t":
    takes("tabs around a length or a coding" if b"\t" in value else "chunked", shown(value),
          POST + b"Transfer-Encoding:" + value + b"\r\n\r\n" + CHUNKS, b"hello")
for name in b"transfer-encoding", b"TRANSFER-ENCODING":
    takes("chunked", shown(name), POST + name + b": chunked\r\n\r\n" + CHUNKS, b"hello")
takes("chunked", "nothing", POST + CHUNKED + b"\r\n0\r\n\r\n", b"")
takes("chunked", "GET with nothing", GET + CHUNKED + b"\r\n0\r\n\r\n", 200)

# LONG_BODY is a body by its length, and by its chunks no body and a request. SHORT_BODY is
# the other way round.
LONG_BODY = b"0\r\n\r\n" + SMUGGLED
SHORT_SIZE = b"%x\r\n" % len(SMUGGLED)
SHORT_BODY = SHORT_SIZE + SMUGGLED + b"\r\n0\r\n\r\n"


def both(length, codings, is_length_first=True):
    """A head with both."""
    first, second = b"Content-Length: " + length + b"\r\n", codings
    if not is_length_first:
        first, second = second, first
    return POST + first + second + b"\r\n"


ODD_CODINGS = {
    "a list of chunked codings": (
        b"chunked,", b",chunked", b"chunked, chunked", b"chunked,chunked"),
    "another coding after chunked": (b"chunked, gzip", b"chunked, identity"),
    "another coding before chunked": (b"gzip, chunked", b"identity, chunked"),
    "an unknown coding": (
        b"identity", b"gzip", b"deflate", b"compress", b"xchunked", b"chunkedx",
                        b"chunked;q=1",
        b"chunked ; a=b", b'"chunked"', b"'chunked'", b"chun\tked", b"chun ked", b"chunke",
                        b"",
        b"\xa0chunked", b"chun\xe2\x84\xaaed", b"chunked%20", b"trailers", b"x", b"0"),
    "a coding with control bytes": (
        b"\x0bchunked", b"chunked\x0b", b"\x0cchunked", b"\0chunked", b"chunked\0"),
}
for group, values in ODD_CODINGS.items():
    for value in values:
        lines = b"Transfer-Encoding: " + value + b"\r\n"
        refuses(group, shown(value), POST + lines + b"\r\n" + CHUNKS)
        refuses(group, shown(value) + " and a length",
                both(b"%d" % len(LONG_BODY), lines) + LONG_BODY)
for first, second in ((b"chunked", b"chunked"), (b"chunked", b"identity"),
                      (b"identity", b"chunked"),
                      (b"", b"chunked"), (b"chunked", b""), (b"gzip", b"chunked"),
                      (b"chunked", b"gzip"), (b"x", b"chunked"), (b"chunked", b"x")):
    refuses("two Transfer-Encoding fields", f"{shown(first)} and {shown(second)}",
            POST + b"Transfer-Encoding: %b\r\nTransfer-Encoding: %b\r\n\r\n" % (first,
                                                                                second)
            + CHUNKS)
for name in (b"Transfer_Encoding", b"X-Transfer-Encoding", b"Transfer-Encodings",
             b"TransferEncoding"):
    takes("a name like that of a coding", shown(name),
          POST + name + b": chunked\r\n" + LENGTH + b"\r\nhello", b"hello")
    takes("a name like that of a coding", shown(name) + " and a length",
          both(b"%d" % len(LONG_BODY), name + b": chunked\r\n") + LONG_BODY, LONG_BODY)
takes("a name like that of a coding", "TE",
      POST + b"TE: chunked\r\n" + LENGTH + b"\r\nhello",
      b"hello")

for is_first in True, False:
    order = "length first" if is_first else "coding first"
    for name, length, body in (("all", b"%d" % len(LONG_BODY), LONG_BODY),
                               ("the size line", b"%d" % len(SHORT_SIZE), SHORT_BODY),
                               ("0", b"0", CHUNKS), ("right", b"%d" % len(CHUNKS), CHUNKS),
                               ("negative", b"-1", CHUNKS), ("signed", b"+5", CHUNKS),
                               ("empty", b"", CHUNKS), ("huge", b"9" * 40, CHUNKS)):
        refuses("a length and chunked", f"{order}, {name}",
                both(length, CHUNKED, is_first) + body)
refuses("a length and chunked", "two lengths",
        POST + LENGTH + CHUNKED + LENGTH + b"\r\n" + CHUNKS)
refuses("a length and chunked", "GET", GET + LENGTH + CHUNKED + b"\r\n" + CHUNKS)

# --- HTTP/1.0 -----------------------------------------------------------------------------

KEEP = b"Connection: keep-alive\r\n"
takes("HTTP/1.0", "no body", b"GET /echo HTTP/1.0\r\n\r\n", 200, then=END)
takes("HTTP/1.0", "with Host", b"GET /echo HTTP/1.0\r\nHost: x\r\n\r\n", 200, then=END)
takes("HTTP/1.0", "a length", POST10 + LENGTH + b"\r\nhello", b"hello", then=END)
takes("HTTP/1.0", "POST without a length", POST10 + b"\r\n", b"", then=END)
takes("HTTP/1.0", "close", POST10 + LENGTH + b"Connection: close\r\n\r\nhello", b"hello",
      then=END)
takes("HTTP/1.0 with keep-alive", "no body",
      b"GET /echo HTTP/1.0\r\n" + KEEP + b"\r\n", 200)
takes("HTTP/1.0 with keep-alive", "a length",
      POST10 + KEEP + LENGTH + b"\r\nhello", b"hello")
takes("HTTP/1.0 with keep-alive", "POST without a length", POST10 + KEEP + b"\r\n", b"")
takes("HTTP/1.0 with keep-alive", "Keep-Alive",
      POST10 + b"Connection: Keep-Alive\r\n\r\n", b"")
takes("HTTP/1.0 with keep-alive", "then 1.1",
      POST10 + KEEP + b"\r\n" + SMUGGLED, b"", b"SMUGGLED")
takes("HTTP/1.0", "after 1.1", POST + b"\r\n" + POST10 + b"\r\n", b"", b"", then=END)
for keep in b"", KEEP:
    kept = " kept alive" if keep else ""
    refuses("HTTP/1.0 with chunked", "chunked" + kept,
            POST10 + keep + CHUNKED + b"\r\n" + CHUNKS)
    refuses("HTTP/1.0 with chunked", "nothing" + kept,
            POST10 + keep + CHUNKED + b"\r\n0\r\n\r\n")
    refuses("HTTP/1.0 with chunked", "and a length" + kept,
            both(b"%d" % len(LONG_BODY), CHUNKED + keep).replace(b"1.1",
                                                                 b"1.0") + LONG_BODY)
    refuses("HTTP/1.0 with chunked", "identity" + kept,
            POST10 + keep + b"Transfer-Encoding: identity\r\n" + LENGTH + b"\r\nhello")

# --- line ends ----------------------------------------------------------------------------

ENDS = {
    "bare LF": b"\n", "bare CR": b"\r", "CR CR LF": b"\r\r\n", "LF CR": b"\n\r",
    "NUL LF": b"\0\n", "CR SP LF": b"\r \n",
}
for end_name, end in ENDS.items():
    is_bare = end_name.startswith("bare")
    group = f"{end_name} in a head" if is_bare else "other line ends in a head"
    name = "" if is_bare else end_name + " "
    refuses(group, name + "after the request line",
            b"POST /echo HTTP/1.1" + end + b"Host: x\r\n" + LENGTH + b"\r\nhello")
    refuses(group, name + "after a field",
            POST + b"Content-Length: 5" + end + b"X: y\r\n\r\nhello")
    refuses(group, name + "before a smuggled field",
            POST + b"X: y" + end + CHUNKED + b"\r\n" + CHUNKS)
    refuses(group, name + "after the last field",
            POST + b"Content-Length: 5" + end + b"\r\nhello")
    refuses(group, name + "as the blank line", POST + LENGTH + end + b"hello")
    refuses(group, name + "everywhere",
            (POST + LENGTH + b"\r\n").replace(b"\r\n", end) + b"hello")
    refuses(group, name + "before a smuggled blank line",
            POST + b"X: y" + end + end + SMUGGLED)
refuses("bare CR in a head", "in a value", POST + b"X: a\rb\r\n\r\n")
refuses("bare CR in a head", "before the colon", POST + b"X\r: a\r\n\r\n")
refuses("bare CR in a head", "after the colon", POST + b"X:\ra\r\n\r\n")
refuses("bare CR in a head", "in the target", POST.replace(b"/echo", b"/ec\rho") + b"\r\n")

for lines in b"\r\n", b"\r\n\r\n", b"\r\n" * 8:
    takes("blank lines before a request", f"{len(lines) // 2} CRLF",
          lines + POST + LENGTH + b"\r\nhello", b"hello")
takes("blank lines before a request", "after a body", POST + LENGTH + b"\r\nhello\r\n",
      b"hello")
takes("blank lines before a request", "after chunks",
      POST + CHUNKED + b"\r\n" + CHUNKS + b"\r\n",
      b"hello")
takes("blank lines before a request", "after no body", GET + b"\r\n\r\n\r\n", 200)
for before in b"\n", b"\n\n", b"\r\n\n":
    refuses("bare LF before a request", shown(before),
            before + POST + LENGTH + b"\r\nhello")
refuses("bare LF before a request", "after a body", POST + LENGTH + b"\r\nhello\n",
        b"hello")
for before in (b"\r", b" ", b"\t", b" \r\n", b"\0", b"\r\r\n", b"\xef\xbb\xbf", b"\x0b",
               b"\xff"):
    refuses("other bytes before a request", shown(before),
            before + POST + LENGTH + b"\r\nhello")
refuses("a body that the route does not allow", "an unknown method",
        b"." + POST + LENGTH + b"\r\nhello", status=405)
refuses("other bytes before a request", "a letter too many after a body",
        POST + LENGTH + b"\r\nhello!\r\n", b"hello")

# --- fields -------------------------------------------------------------------------------

FOLDS = {
    "SP": b"\r\n ", "HTAB": b"\r\n\t", "bare LF": b"\n ", "many": b"\r\n \r\n ",
    "a blank line": b"\r\n \r\n",
}
for fold_name, fold in FOLDS.items():
    refuses("a folded field", f"a field, {fold_name}",
            POST + b"X: a" + fold + b"b\r\n" + LENGTH + b"\r\nhello")
    refuses("a folded field", f"a length, {fold_name}",
            POST + b"Content-Length:" + fold + b"5\r\n\r\nhello")
    refuses("a folded field", f"a coding, {fold_name}",
            POST + b"Transfer-Encoding:" + fold + b"chunked\r\n\r\n" + CHUNKS)
    refuses("a folded field", f"a smuggled coding, {fold_name}",
            POST + b"X: a" + fold + CHUNKED + b"Content-Length: %d\r\n\r\n" % len(LONG_BODY)
            + LONG_BODY)
refuses("a folded field", "the request line", b"POST /echo\r\n HTTP/1.1\r\nHost: x\r\n\r\n")
refuses("a folded field", "Host", b"POST /echo HTTP/1.1\r\nHost:\r\n x\r\n\r\n")
for blank in b" ", b"\t":
    refuses("a blank before the first field", shown(blank),
            b"POST /echo HTTP/1.1\r\n" + blank + b"Host: x\r\nHost: y\r\n" + LENGTH
            + b"\r\nhello")
    refuses("a blank before the first field", shown(blank) + " a coding",
            b"POST /echo HTTP/1.1\r\n" + blank + CHUNKED + b"Host: x\r\n\r\n" + CHUNKS)

for blank in b" ", b"\t", b"  ", b"\x0b", b"\xa0", b"\0":
    for name, value, body in ((b"X", b"y", b""), (b"Content-Length", b"5", b"hello"),
                              (b"Transfer-Encoding", b"chunked", CHUNKS),
                              (b"Host", b"y", b"")):
        refuses("a blank before the colon" if blank.strip(b" \t") == b""
                else "an invalid field name", f"{shown(name)}{shown(blank)}",
                POST + name + blank + b": " + value + b"\r\n\r\n" + body)
refuses("a blank before the colon", "a length and chunked",
        both(b"%d" % len(LONG_BODY), b"Transfer-Encoding : chunked\r\n") + LONG_BODY)
for value in (b"y", b" y", b"\ty", b"  y  ", b"", b" ", b"y\t", b":y", b": y", b"a b",
              b"a\tb"):
    takes("blanks after the colon", shown(value), POST + b"X:" + value + b"\r\n\r\n", b"")

for byte in b'"(),/;<=>?@[\\]{}\x01\x1f\x7f\x80\xe4\xff':
    refuses("an invalid field name", shown(bytes([byte])),
            POST + b"X" + bytes([byte]) + b"Y: z\r\n" + LENGTH + b"\r\nhello")
    refuses("an invalid field name", shown(bytes([byte])) + " before a length",
            POST + bytes([byte]) + b"Content-Length: 5\r\n\r\n" + SMUGGLED)
takes("a field name of all token bytes", "all",
      POST + b"!#$%&'*+-.^_`|~09azAZ: y\r\n" + LENGTH + b"\r\nhello",
      b"hello")
refuses("an empty field name", "a colon", POST + b": y\r\n" + LENGTH + b"\r\nhello")
refuses("an empty field name", "only a colon", POST + b":\r\n" + LENGTH + b"\r\nhello")
refuses("a line without a colon", "a word", POST + b"Word\r\n" + LENGTH + b"\r\nhello")
refuses("a line without a colon", "a coding",
        POST + b"Transfer-Encoding chunked\r\n" + LENGTH + b"\r\nhello")
refuses("a line without a colon", "=",
        POST + b"Transfer-Encoding=chunked\r\n" + LENGTH + b"\r\nhello")
refuses("a line without a colon", "a request",
        POST + b"GET /echo HTTP/1.1\r\n" + LENGTH + b"\r\nhello")
refuses("a line without a colon", "a second request line", POST + SMUGGLED)
refuses("NUL in a value", "last", POST + b"X: y\0\r\n" + LENGTH + b"\r\nhello")
refuses("NUL in a value", "first", POST + b"X: \0y\r\n" + LENGTH + b"\r\nhello")
refuses("NUL in a value", "of a length", POST + b"Content-Length: 5\0\r\n\r\nhello")
refuses("NUL in a value", "of Host", b"POST /echo HTTP/1.1\r\nHost: x\0y\r\n\r\n")
refuses("NUL in a value", "and a line end", POST + b"X: y\0\n\r\n" + LENGTH + b"\r\nhello")
refuses("NUL in a name", "inside", POST + b"X\0Y: z\r\n" + LENGTH + b"\r\nhello")
refuses("NUL in a name", "before a length", POST + b"\0Content-Length: 5\r\n\r\nhello")
refuses("NUL in a name", "inside a length", POST + b"Content-\0Length: 5\r\n\r\nhello")
for byte in b"\x01\x08\x0b\x0c\x0e\x1b\x1f\x7f":
    refuses("control bytes in a value", shown(bytes([byte])),
            POST + b"X: a" + bytes([byte]) + b"b\r\n" + LENGTH + b"\r\nhello")
    refuses("control bytes in a value", shown(bytes([byte])) + " before a length",
            POST + b"Content-Length: " + bytes([byte]) + b"5\r\n\r\nhello")
for byte in b"\x80\x85\xa0\xe4\xff":
    takes("non-ASCII bytes in a value", shown(bytes([byte])),
          POST + b"X: a" + bytes([byte]) + b"b\r\n" + LENGTH + b"\r\nhello", b"hello")

# --- Host ---------------------------------------------------------------------------------

LINE = b"POST /echo HTTP/1.1\r\n"
refuses("a missing Host", "1.1", LINE + LENGTH + b"\r\nhello")
refuses("a missing Host", "1.1, no body", b"GET /echo HTTP/1.1\r\n\r\n")
refuses("a missing Host", "1.1, absolute",
        b"POST http://x/echo HTTP/1.1\r\n" + LENGTH + b"\r\nhello")
for value in b"", b" ":
    takes("an empty Host", shown(value),
          LINE + b"Host:" + value + b"\r\n" + LENGTH + b"\r\nhello",
          b"hello")
takes("an empty Host", "1.0", POST10.replace(b" x", b"") + LENGTH + b"\r\nhello", b"hello",
      then=END)
for first, second in ((b"x", b"x"), (b"x", b"y"), (b"", b"x"), (b"x", b"")):
    refuses("two equal Hosts" if first == second else "two different Hosts",
            f"{shown(first)} and {shown(second)}",
            LINE + b"Host: %b\r\nHost: %b\r\n" % (first, second) + LENGTH + b"\r\nhello")
refuses("two different Hosts", "1.0",
        POST10 + b"Host: y\r\n" + KEEP + LENGTH + b"\r\nhello")
refuses("two different Hosts", "names in other cases",
        POST + b"HOST: y\r\n" + LENGTH + b"\r\nhello")
refuses("two different Hosts", "far apart", POST + b"A: b\r\n" * 100 + b"Host: y\r\n\r\n")
refuses("two equal Hosts", "many", LINE + b"Host: x\r\n" * 50 + b"\r\n")
for value in (b"x:80", b"[::1]", b"[::1]:80", b"127.0.0.1:7466", b"EXAMPLE.org", b"x.",
              b"a_b", b"%41", b"a%2Fb", b"[::ffff:192.0.2.1]:80", b"x:65535"):
    takes("a Host", shown(value),
          LINE + b"Host: " + value + b"\r\n" + LENGTH + b"\r\nhello", b"hello")
for value in b"x,y", b"'x'", b"x:", b"[::1]:", b"x:00080", b"[v1.x:y]":
    takes("a Host with an odd port or address", shown(value),
          LINE + b"Host: " + value + b"\r\n" + LENGTH + b"\r\nhello", b"hello")
for value in (b"x y", b"x, y", b"x/y", b"u@x", b"http://x", b"x?y", b"x#y", b"x\\y", b"<x>",
              b"x\xe4", b"x\ty",
              b"x|y", b'"x"', b"x\x7f"):
    refuses("an invalid Host", shown(value),
            LINE + b"Host: " + value + b"\r\n" + LENGTH + b"\r\nhello")
for value in (b"x:y", b"x:99999", b"x:65536", b"x:80:80", b"x:+80", b"x:80a", b":80", b":",
              b"::1", b"[::1", b"[::1]x", b"[::1]80", b"[::1]:x", b"[]", b"[x]", b"x[y", b"x]",
              b"[[::1]]", b"[192.0.2.1]", b"[::g]", b"[fe80::1%25lo]", b"[fe80::1%lo]", b"[v.x]",
              b"[v1.]", b"x%y", b"x%4", b"%", b"x%g0", b"x%%41"):
    refuses("a Host with an invalid port, literal or encoding", shown(value),
            LINE + b"Host: " + value + b"\r\n" + LENGTH + b"\r\nhello")
    if b"%" not in value and value[:1] != b":":
        refuses("an absolute form with an invalid port or literal", shown(value),
                b"GET http://" + value + b"/echo HTTP/1.1\r\nHost: x\r\n\r\n")

# --- request lines ------------------------------------------------------------------------


def line(text, *replies, group, then=NEXT, name=None):
    takes(group, name or shown(text), text + b"\r\nHost: x\r\n\r\n", *replies, then=then)


for text in (b"GET  /echo HTTP/1.1", b"GET /echo  HTTP/1.1", b"GET\t/echo HTTP/1.1",
             b"GET /echo\tHTTP/1.1", b"GET /echo HTTP/1.1 ", b"GET /echo HTTP/1.1\t",
             b"GET \t /echo HTTP/1.1", b"GET\x0b/echo\x0bHTTP/1.1",
             b"GET\x0c/echo HTTP/1.1"):
    line(text, 400, group="blanks in the request line", then=END)
for text in (b"GET /echo a HTTP/1.1", b"GET /echo HTTP/1.1 HTTP/1.1",
             b"GET /echo?a b HTTP/1.1",
             b"GET /echo HTTP/1.1 a"):
    line(text, 400, group="too many words", then=END)
for text in b"GET /echo", b"GET /echo ":
    line(text, 400, group="HTTP/0.9", then=END)
for text in (b"GET", b" /echo HTTP/1.1", b"/echo HTTP/1.1", b"GET  HTTP/1.1",
             b"GET HTTP/1.1", b"GET /echoHTTP/1.1"):
    line(text, 400, group="too few words", then=END)
for version in (b"HTTP/1.2", b"HTTP/1.3", b"HTTP/1.9"):
    line(b"GET /echo " + version, 400, group="HTTP/1.2 and later", then=END)
for version in (b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9", b"HTTP/0.0",
                b"HTTP/2.1"):
    line(b"GET /echo " + version, 400, group="another major version", then=END)
for version in (b"http/1.1", b"Http/1.1", b"HTTP/1.10", b"HTTP/1.01", b"HTTP/01.1",
                b"HTTP/1.", b"HTTP/.1",
                b"HTTP/1", b"HTTP/", b"HTTP", b"HTTP/1.1x", b"HTTP /1.1", b"HTTP/ 1.1",
                b"HTTP/1,1",
                b"HTTP/1 1", b"HTTP/-1.1", b"HTTP/+1.1", b"HTTP/1.1\0", b"HTTP\\1.1",
                b"HTTP/1.1;",
                b"HTTP/1.\xb9", b"HTTP/11"):
    line(b"GET /echo " + version, 400, group="a malformed version", then=END)
line(b"GET /echo RTSP/1.0", 400, group="another protocol that Node knows", then=END)
for version in b"HTTPS/1.1", b"ICE/1.0", b"SIP/2.0", b"FTP/1.1", b"XTTP/1.1":
    line(b"GET /echo " + version, 400, group="another protocol", then=END)

for group, methods in (
        ("a method in lower or mixed case", (b"get", b"Get", b"post")),
        ("a registered method", (b"PATCH", b"DELETE", b"PUT", b"OPTIONS", b"M-SEARCH")),
        ("an unknown method", (b"BREW", b"G", b"GETT", b"X" * 40)),
        ("a method of all token bytes", (b"!#$%&'*+-.^_`|~09azAZ", b"G_T"))):
    for method in methods:
        line(method + b" /echo HTTP/1.1", 405, group=group)
line(b"TRACE /echo HTTP/1.1", 405, group="TRACE")
for byte in b"\0\x01\x0b\x1f\x7f\"(),/:;<=>?@[\\]{}\x80\xff":
    line(b"G" + bytes([byte]) + b"T /echo HTTP/1.1", 400, group="an invalid method",
         then=END)
takes("HEAD", "alone", GET.replace(b"GET", b"HEAD") + b"\r\n", HEAD)
takes("HEAD", "and a request", GET.replace(b"GET", b"HEAD") + b"\r\n" + SMUGGLED, HEAD,
      b"SMUGGLED")
takes("HEAD", "length 0", GET.replace(b"GET", b"HEAD") + b"Content-Length: 0\r\n\r\n", HEAD)

for target in (b"/echo?", b"/echo?a=b&c", b"/echo?%00", b"/echo?//", b"/echo??",
               b"/echo?%0d%0aX:%20y",
               b"/echo?;,:@!$&'()*+=", b"/echo?a/../b", b"/echo?%", b"/echo?%zz"):
    line(b"GET " + target + b" HTTP/1.1", 200, group="a query")
line(b"GET /echo?a#b HTTP/1.1", 200, group="a fragment")
line(b"GET /echo#b HTTP/1.1", 404, group="a fragment")
for byte in b'"<>\\^`{|}[]':
    line(b"GET /echo?a" + bytes([byte]) + b"b HTTP/1.1", 200,
         group="visible bytes that no URI may contain",
         name=shown(bytes([byte])))
for target in (b"/ech", b"/echo/x", b"//echo", b"/%65cho", b"/ECHO", b"/echo;x", b"/./echo",
               b"/nope/../echo"):
    line(b"GET " + target + b" HTTP/1.1", 404, group="another path", name=shown(target))
for target in b"/echo%00", b"/../echo", b"/%2e%2e/echo":
    line(b"GET " + target + b" HTTP/1.1", 404, group="a path above the root or with %00",
         name=shown(target))
for byte in b"\0\x01\t\x0b\x0c\x1b\x1f\x7f":
    line(b"GET /echo?a" + bytes([byte]) + b"b HTTP/1.1", 400,
         group="control bytes in a target", then=END)
    line(b"GET /echo" + bytes([byte]) + b" HTTP/1.1", 400,
         group="control bytes in a target", then=END)
for byte in b"\x80\xa0\xc3\xff":
    line(b"GET /echo?a" + bytes([byte]) + b"b HTTP/1.1", 400,
         group="non-ASCII bytes in a target",
         then=END)
for target in (b"echo", b"echo/", b"?a", b"#", b".", b"..", b"%2Fecho", b";", b"\\echo",
               b"@x/echo"):
    line(b"GET " + target + b" HTTP/1.1", 400, group="a path without a leading slash",
         then=END)

for target in b"http://x/echo", b"http://x:80/echo", b"https://x/echo", b"http://x/echo/":
    line(b"GET " + target + b" HTTP/1.1", 200, group="an absolute form", name=shown(target))
for target in b"http://[::1]/echo", b"http://y/echo", b"http://y/echo?a=http://z/":
    line(b"GET " + target + b" HTTP/1.1", 200, group="an absolute form with another host",
         name=shown(target))
line(b"GET HTTP://x/echo HTTP/1.1", 200, group="an absolute form")
takes("an absolute form", "1.0 without Host", b"GET http://x/echo HTTP/1.0\r\n\r\n", 200,
      then=END)
for target in b"http://x", b"http://x?a", b"http://x/":
    line(b"GET " + target + b" HTTP/1.1", 404, group="an absolute form without a path",
         name=shown(target))
refuses("two equal Hosts", "absolute form",
        b"GET http://x/echo HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n")
for target in (b"http://", b"http:///echo", b"http://u@x/echo", b"http://u:p@x/echo",
               b"http://:80/echo"):
    line(b"GET " + target + b" HTTP/1.1", 400, group="an absolute form without a host",
         then=END,
         name=shown(target))
for target in (b"ftp://x/echo", b"http:/echo", b"http:echo", b"x:/echo", b"file:///echo",
               b"h://x/echo", b"ws://x/echo", b"http//x/echo"):
    line(b"GET " + target + b" HTTP/1.1", 400, group="another scheme", then=END)
line(b"OPTIONS * HTTP/1.1", 404, group="an asterisk")
line(b"GET * HTTP/1.1", 404, group="an asterisk")
line(b"GET ** HTTP/1.1", 400, group="a path without a leading slash", then=END)
for text in b"CONNECT x:443 HTTP/1.1", b"CONNECT x HTTP/1.1", b"CONNECT [::1]:443 HTTP/1.1":
    line(text, 400, group="CONNECT", then=END)
line(b"GET x:443 HTTP/1.1", 400, group="an authority form", then=END)
line(b"GET localhost:80 HTTP/1.1", 400, group="an authority form", then=END)
line(b"POST 127.0.0.1:80 HTTP/1.1", 400, group="an authority form", then=END)
line(b"CONNECT /echo HTTP/1.1", 405, group="CONNECT", then=END)
refuses("HTTP/0.9", "alone", b"GET /echo\r\n")
refuses("HTTP/0.9", "and a request", b"GET /echo\r\n" + SMUGGLED)
refuses("HTTP/0.9", "bare LF", b"GET /echo\n")
refuses("the HTTP/2 preface", "at first", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
refuses("the HTTP/2 preface", "later",
        GET + b"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 200)
refuses("the first bytes of another protocol", "PROXY",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + GET + b"\r\n")
refuses("the first bytes of another protocol", "PROXY UNKNOWN",
        b"PROXY UNKNOWN\r\n" + GET + b"\r\n")
refuses("the first bytes of another protocol", "PROXY 2",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\2" + GET + b"\r\n")
refuses("the first bytes of another protocol", "TLS",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n" + GET + b"\r\n")
refuses("the first bytes of another protocol", "SSH",
        b"SSH-2.0-OpenSSH_9.2\r\n" + GET + b"\r\n")
refuses("the first bytes of another protocol", "NUL bytes", b"\0" * 64 + b"\r\n\r\n")

# --- chunks -------------------------------------------------------------------------------

IN_CHUNKS = POST + CHUNKED + b"\r\n"


def chunks(group, name, text, *replies, then=NEXT):
    takes(group, name, IN_CHUNKS + text, *replies, then=then)


def bad_chunks(group, name, text, status=400):
    chunks(group, name, text, status, then=END)


for size in b"5", b"05", b"005", b"0" * 15 + b"5":
    chunks("a chunk size", shown(size), size + b"\r\nhello\r\n0\r\n\r\n", b"hello")
for size, length in ((b"a", 10), (b"A", 10), (b"1a", 26), (b"1A", 26), (b"fF", 255)):
    chunks("a chunk size", shown(size), size + b"\r\n" + b"x" * length + b"\r\n0\r\n\r\n",
           b"x" * length)
for last in b"00", b"000", b"0" * 16:
    chunks("a chunk size", "last " + shown(last), b"5\r\nhello\r\n" + last + b"\r\n\r\n",
           b"hello")
for size in b"0" * 16 + b"5", b"0" * 20 + b"5", b"0" * 64 + b"5":
    chunks("a chunk size of more than 16 digits", shown(size),
           size + b"\r\nhello\r\n0\r\n\r\n", b"hello")
chunks("a chunk size of more than 16 digits", "last",
       b"5\r\nhello\r\n" + b"0" * 17 + b"\r\n\r\n", b"hello")
chunks("a chunk size", "five of them",
       b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
       b"hello")
chunks("a chunk size", "line ends as data", b"4\r\n\r\n\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n",
       b"\r\n\r\n\r\n")
chunks("a chunk size", "a request as data", SHORT_BODY, SMUGGLED)
for size in (b"+5", b"-5", b"0x5", b"0X5", b"x5", b"#5", b"5h", b"5L", b"5_", b"0_5", b"5.",
             b"5,", b'"5"', b"%35",
             b"\xef\xbc\x95", b"five", b"g", b"5=", b"5:", b"5\0", b"5\x0b", b"\x0b5",
             b"\xa05", b"5\xa0"):
    bad_chunks("a malformed chunk size", shown(size), size + b"\r\nhello\r\n0\r\n\r\n")
for last in b"-0", b"+0", b"0x0", b"0x", b"0_", b"0.", b"0,", b"0h":
    bad_chunks("a malformed chunk size", "last " + shown(last),
               b"5\r\nhello\r\n" + last + b"\r\n\r\n")
bad_chunks("a missing chunk size", "at first", b"\r\nhello\r\n0\r\n\r\n")
bad_chunks("a missing chunk size", "later", b"5\r\nhello\r\n\r\n0\r\n\r\n")
bad_chunks("a missing chunk size", "an extension", b";a=b\r\nhello\r\n0\r\n\r\n")
for size in b" 5", b"\t5":
    bad_chunks("blanks before a chunk size", shown(size), size + b"\r\nhello\r\n0\r\n\r\n")
bad_chunks("blanks before a chunk size", "last", b"5\r\nhello\r\n 0\r\n\r\n")
for size in b"5 ", b"5\t", b"5  \t ":
    bad_chunks("blanks after a chunk size", shown(size), size + b"\r\nhello\r\n0\r\n\r\n")
bad_chunks("blanks after a chunk size", "last", b"5\r\nhello\r\n0 \r\n\r\n")
for size in b"5 ;a", b"5\t;a=b", b"5 ; a":
    bad_chunks("blanks before an extension", shown(size), size + b"\r\nhello\r\n0\r\n\r\n")
for size in b"5 a", b"5 5", b"5\t\x01":
    bad_chunks("words after a chunk size", shown(size), size + b"\r\nhello\r\n0\r\n\r\n")
for size in b"10001", b"fffff", b"100000005", b"7fffffff", b"ffffffff", b"7fffffffffffffff":
    bad_chunks("a chunk size above our limit", shown(size),
               size + b"\r\nhello\r\n0\r\n\r\n",
               status=413)
for size in (b"8000000000000000", b"8000000000000005", b"ffffffffffffffff",
             b"fffffffffffffffe",
             b"10000000000000005", b"100000000000000000000000000000005",
             b"fffffffffffffffff", b"f" * 64):
    bad_chunks("a chunk size above 63 bits", shown(size), size + b"\r\nhello\r\n0\r\n\r\n",
               status=413)

for text in b"5;a", b"5;a=b", b'5;a="b"', b"5;a=b;c=d", b"5;a;b;c":
    chunks("an extension", shown(text), text + b"\r\nhello\r\n0\r\n\r\n", b"hello")
chunks("an extension", "of the last chunk", b"5\r\nhello\r\n0;a=b\r\n\r\n", b"hello")
for text in (b"5;", b"5;;", b"5;=", b"5; a", b"5; a = b", b"5;a=", b'5;a="b', b'5;a="\\""',
             b"5;a\tb", b"5;,", b"5;a=b "):
    chunks("an odd extension", shown(text), text + b"\r\nhello\r\n0\r\n\r\n", b"hello")
for byte in b"\0\x01\x0b\x1f\x7f":
    bad_chunks("control bytes in an extension", shown(bytes([byte])),
               b"5;a" + bytes([byte]) + b"\r\nhello\r\n0\r\n\r\n")
for byte in b"\x80\xff":
    chunks("non-ASCII bytes in an extension", shown(bytes([byte])),
           b"5;a" + bytes([byte]) + b"\r\nhello\r\n0\r\n\r\n", b"hello")
bad_chunks("bare LF in chunks", "in an extension", b"5;a\nhello\r\n0\r\n\r\n")
bad_chunks("bare LF in chunks", "in an extension, later", b"5;a\nb\r\nhello\r\n0\r\n\r\n")
bad_chunks("bare LF in chunks", "a smuggled one",
           b"2;\nxx\r\n%x\r\n0\r\n\r\n" % (len(SMUGGLED) + 5) + SMUGGLED
           + b"\r\n0\r\n\r\n")
bad_chunks("bare LF in chunks", "in quotes", b'5;a="\n"\r\nhello\r\n0\r\n\r\n')
bad_chunks("bare CR in chunks", "in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n")
bad_chunks("bare CR in chunks", "at an extension's end", b"5;a\rhello\r\n0\r\n\r\n")
bad_chunks("bare LF in chunks", "after a size", b"5\nhello\r\n0\r\n\r\n")
bad_chunks("bare LF in chunks", "after data", b"5\r\nhello\n0\r\n\r\n")
bad_chunks("bare LF in chunks", "after the last size", b"5\r\nhello\r\n0\n\r\n")
bad_chunks("bare LF in chunks", "as the blank line", b"5\r\nhello\r\n0\r\n\n")
bad_chunks("bare LF in chunks", "everywhere", CHUNKS.replace(b"\r\n", b"\n"))
bad_chunks("bare CR in chunks", "after a size", b"5\rhello\r\n0\r\n\r\n")
bad_chunks("bare CR in chunks", "after data", b"5\r\nhello\r0\r\n\r\n")
bad_chunks("bare CR in chunks", "after the last size", b"5\r\nhello\r\n0\r\r\n")
bad_chunks("bare CR in chunks", "as the blank line", b"5\r\nhello\r\n0\r\n\r")
bad_chunks("bare CR in chunks", "CR CR LF after a size", b"5\r\r\nhello\r\n0\r\n\r\n")
bad_chunks("bare CR in chunks", "CR CR LF after data", b"5\r\nhello\r\r\n0\r\n\r\n")
bad_chunks("chunk data of the wrong length", "longer", b"5\r\nhello!\r\n0\r\n\r\n")
bad_chunks("chunk data of the wrong length", "longer by two", b"5\r\nhello!!0\r\n\r\n")
bad_chunks("chunk data of the wrong length", "no line end", b"5\r\nhello0\r\n\r\n")
bad_chunks("chunk data shorter than its size", "by one", b"5\r\nhell\r\n0\r\n\r\n")
bad_chunks("chunk data of the wrong length", "a smuggled size",
           b"5\r\nhelloXX0\r\n\r\n" + SMUGGLED)
chunks("chunks that do not end", "no last chunk", b"ffff\r\nhello\r\n", then=WAIT)
bad_chunks("chunks that do not end", "the marker for a size", b"5\r\nhello\r\n")
bad_chunks("chunks that do not end", "the marker for a trailer", b"5\r\nhello\r\n0\r\n")

for text in (b"A: b\r\n", b"A: b\r\nC: d\r\n", b"Host: y\r\n", b"A:\r\n",
             b"Content-MD5: \t x \r\n",
             b"Trailer: A\r\n", b"X-Content-Length: 5\r\n", b"Upgrade: x\r\n"):
    chunks("a trailer", shown(text), b"5\r\nhello\r\n0\r\n" + text + b"\r\n", b"hello")
for text in (LENGTH, b"content-length: 0\r\n",
             b"A: b\r\nContent-Length: %d\r\n" % len(MARKER), CHUNKED,
             b"Transfer-Encoding: identity\r\n"):
    bad_chunks("a trailer with a length or a coding", shown(text),
               b"5\r\nhello\r\n0\r\n" + text + b"\r\n")
for text in (b"Connection: close\r\n", b"connection: x\r\n", b"Proxy-Connection: close\r\n",
             b"Connection: upgrade\r\nUpgrade: x\r\n"):
    bad_chunks("a trailer with connection options", shown(text),
               b"5\r\nhello\r\n0\r\n" + text + b"\r\n")
takes("a trailer", "announced",
      POST + b"Trailer: A\r\n" + CHUNKED + b"\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n", b"hello")
takes("a trailer", "announced, none came",
      POST + b"Trailer: A\r\n" + CHUNKED + b"\r\n" + CHUNKS, b"hello")
for text in (b"A : b\r\n", b" A: b\r\n", b"A: b\r\n c\r\n", b"A\r\n", b": b\r\n",
             b"A: b\0\r\n", b"A: b\x01\r\n",
             b"A: b\rC: d\r\n", b"(: b\r\n", SMUGGLED.split(b"\r\n")[0] + b"\r\n"):
    bad_chunks("a malformed trailer", shown(text), b"5\r\nhello\r\n0\r\n" + text + b"\r\n")
bad_chunks("a malformed trailer", "bare LF", b"5\r\nhello\r\n0\r\nA: b\nC: d\r\n\r\n")
bad_chunks("a malformed trailer", "bare LF at the end", b"5\r\nhello\r\n0\r\nA: b\r\n\n")
bad_chunks("a malformed trailer", "bare LF before a request",
           b"5\r\nhello\r\n0\r\nA: b\n\n" + SMUGGLED)

# --- limits -------------------------------------------------------------------------------


def head_of(size, start=GET):
    """A head of this many bytes, in lines of at most 1000."""
    head = start
    while len(head) + 2 < size:
        room = min(1000, size - 2 - len(head))
        if 0 < size - 2 - len(head) - room < 6:
            room -= 6
        head += b"a: " + b"b" * (room - 5) + b"\r\n"
    return head + b"\r\n"


takes("heads within our limits", "size", head_of(HEAD_MAX), 200)
takes("heads within our limits", "a line", GET + b"a: " + b"b" * 7000 + b"\r\n\r\n", 200)
takes("heads within our limits", "a target",
      b"GET /echo?" + b"a" * 7000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 200)
takes("many fields", "within our limits", GET + b"a: b\r\n" * (FIELDS_MAX - 1) + b"\r\n",
      200)
refuses("heads above our limits", "size", head_of(HEAD_MAX + 1), status=431)
refuses("heads above our limits", "a line", GET + b"a: " + b"b" * 9000 + b"\r\n\r\n",
        status=431)
refuses("heads above our limits", "a target",
        b"GET /echo?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        status=431)
refuses("heads above our limits", "fields", GET + b"a: b\r\n" * FIELDS_MAX + b"\r\n",
        status=431)
refuses("heads above our limits", "after another", GET + b"\r\n" + head_of(HEAD_MAX + 1),
        200, status=431)
takes("bodies within our limits", "a length",
      POST + b"Content-Length: %d\r\n\r\n" % BODY_MAX + b"x" * BODY_MAX, b"x" * BODY_MAX)
chunks("bodies within our limits", "a chunk",
       b"%x\r\n" % BODY_MAX + b"x" * BODY_MAX + b"\r\n0\r\n\r\n",
       b"x" * BODY_MAX)
bad_chunks("a trailer with a length or a coding", "behind the largest body",
           b"%x\r\n" % BODY_MAX + b"x" * BODY_MAX + b"\r\n0\r\n" + LENGTH + b"\r\n")
chunks("a trailer", "behind the largest body",
       b"%x\r\n" % BODY_MAX + b"x" * BODY_MAX + b"\r\n0\r\nA: b\r\n\r\n", b"x" * BODY_MAX)
chunks("bodies within our limits", "two chunks",
       (b"8000\r\n" + b"x" * 32768 + b"\r\n") * 2 + b"0\r\n\r\n",
       b"x" * BODY_MAX)
refuses("bodies above our limits", "a length",
        POST + b"Content-Length: %d\r\n\r\n" % (BODY_MAX + 1) + b"x" * (BODY_MAX + 1),
        status=413)
bad_chunks("bodies above our limits", "a chunk",
           b"%x\r\n" % (BODY_MAX + 1) + b"x" * (BODY_MAX + 1) + b"\r\n0\r\n\r\n",
           status=413)
bad_chunks("bodies above our limits", "the last byte",
           b"%x\r\n" % BODY_MAX + b"x" * BODY_MAX + b"\r\n1\r\nx\r\n0\r\n\r\n", status=413)
chunks("extensions and trailers within our limits", "an extension",
       b"5;" + b"a" * 8000 + b"\r\nhello\r\n0\r\n\r\n", b"hello")
chunks("extensions and trailers within our limits", "many extensions",
       b"1;a=b\r\nh\r\n" * 100 + b"0\r\n\r\n", b"h" * 100)
chunks("extensions and trailers within our limits", "a trailer",
       b"5\r\nhello\r\n0\r\nA: " + b"b" * 8000 + b"\r\n\r\n", b"hello")
bad_chunks("extensions and trailers above our limits", "an extension",
           b"5;" + b"a" * 9000 + b"\r\nhello\r\n0\r\n\r\n", status=431)
bad_chunks("extensions and trailers above our limits", "many extensions",
           b"1;%b\r\nh\r\n" % (b"a" * 100) * 100 + b"0\r\n\r\n", status=431)
bad_chunks("extensions and trailers above our limits", "a trailer",
           b"5\r\nhello\r\n0\r\nA: " + b"b" * 9000 + b"\r\n\r\n", status=431)
bad_chunks("extensions and trailers above our limits", "both",
           b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\nA: " + b"b" * 5000 + b"\r\n\r\n",
           status=431)

# --- connections and pipelines ------------------------------------------------------------

CLOSE = b"Connection: close\r\n"
for value in (b"close", b"Close", b"CLOSE", b"close, x", b"x, close", b"keep-alive, close",
              b"close,keep-alive", b"\tclose", b",close,"):
    takes("Connection: close", shown(value),
          POST + b"Connection: " + value + b"\r\n\r\n" + SMUGGLED, b"", then=END)
takes("Connection: close", "in a second line", POST + KEEP + CLOSE + b"\r\n" + SMUGGLED,
      b"", then=END)
for value in b"closed", b"close-x", b"xclose":
    takes("Connection: words that contain close", shown(value),
          POST + b"Connection: " + value + b"\r\n" + LENGTH + b"\r\nhello", b"hello")
for value in (b"keep-alive", b"x", b"", b"clos", b"Content-Length", b"Transfer-Encoding",
              b"Host"):
    takes("Connection: others", shown(value),
          POST + b"Connection: " + value + b"\r\n" + LENGTH + b"\r\nhello", b"hello")
takes("Connection: others", "X-Connection", POST + b"X-Connection: close\r\n\r\n", b"")
for value in b"close", b"keep-alive":
    takes("Proxy-Connection", shown(value),
          POST + b"Proxy-Connection: " + value + b"\r\n\r\n", b"")
takes("Proxy-Connection", "1.0", POST10 + b"Proxy-Connection: keep-alive\r\n\r\n", b"",
      then=END)
takes("a trailer", "Upgrade, with Connection",
      POST + b"Connection: Upgrade\r\n" + CHUNKED
      + b"\r\n5\r\nhello\r\n0\r\nUpgrade: x\r\n\r\n",
      b"hello")
takes("Connection: others", "Keep-Alive", POST + b"Keep-Alive: timeout=5\r\n\r\n", b"")
takes("Expect", "100-continue", POST + LENGTH + b"Expect: 100-continue\r\n\r\nhello",
      b"hello")
takes("Expect", "100-Continue in chunks",
      POST + CHUNKED + b"Expect: 100-Continue\r\n\r\n" + CHUNKS, b"hello")
takes("Expect", "no body", POST + b"Expect: 100-continue\r\n\r\n", b"")
takes("Expect", "1.0", POST10 + LENGTH + b"Expect: 100-continue\r\n\r\nhello", b"hello",
      then=END)
takes("Expect", "another", POST + LENGTH + b"Expect: x\r\n\r\nhello", b"hello")
for name, upgrade in ("websocket", b"websocket"), ("h2c", b"h2c"), ("TLS", b"TLS/1.0"):
    takes("Upgrade", name,
          POST + b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n" + LENGTH
          + b"\r\nhello",
          b"hello", then=END)
takes("Upgrade", "no body", GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 200,
      then=END)
takes("Upgrade without Connection", "h2c",
      POST + b"Upgrade: h2c\r\n" + LENGTH + b"\r\nhello", b"hello")
takes("Connection: others", "Upgrade, no such field",
      POST + b"Connection: Upgrade\r\n" + LENGTH + b"\r\nhello",
      b"hello")
for value in b"gzip", b"br", b"x", b"gzip, identity":
    refuses("a Content-Encoding", shown(value),
            POST + b"Content-Encoding: " + value + b"\r\n" + LENGTH + b"\r\nhello",
            status=415)
takes("other fields about bodies", "identity",
      POST + b"Content-Encoding: identity\r\n" + LENGTH + b"\r\nhello", b"hello")
takes("other fields about bodies", "multipart/byteranges",
      POST + b"Content-Type: multipart/byteranges; boundary=x\r\n\r\n", b"")
takes("other fields about bodies", "X-HTTP-Method-Override",
      POST + b"X-HTTP-Method-Override: GET\r\n" + LENGTH + b"\r\nhello", b"hello")

PIECES = {
    "GET": (GET + b"\r\n", 200),
    "length": (POST + LENGTH + b"\r\nhello", b"hello"),
    "chunks": (IN_CHUNKS + b"5;a\r\nchunk\r\n0\r\nA: b\r\n\r\n", b"chunk"),
    "HEAD": (GET.replace(b"GET", b"HEAD") + b"\r\n", HEAD),
    "no path": (b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "no method": (b"DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "1.0": (POST10 + KEEP + LENGTH + b"\r\nearly", b"early"),
    "blank lines": (b"\r\n\r\n" + POST + LENGTH + b"\r\nblank", b"blank"),
}
for first, (first_data, first_reply) in PIECES.items():
    for second, (second_data, second_reply) in PIECES.items():
        is_plain = not {first, second} & {"1.0", "blank lines"}
        takes("a pipeline" if is_plain else "a pipeline with HTTP/1.0 or blank lines",
              f"{first}, {second}",
              first_data + second_data, first_reply, second_reply)
takes("a pipeline with HTTP/1.0 or blank lines", "all",
      b"".join(data for data, _ in PIECES.values()),
      *(reply for _, reply in PIECES.values()))
takes("a pipeline with HTTP/1.0 or blank lines", "all, often",
      b"".join(data for data, _ in PIECES.values()) * 3,
      *[reply for _, reply in PIECES.values()] * 3)
BROKEN = {
    "two lengths": POST + LENGTH + LENGTH + b"\r\nhello",
    "both": POST + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "a bad chunk": IN_CHUNKS + b"5\r\nhello!\r\n0\r\n\r\n",
    "a bare LF": GET.replace(b"\r\n", b"\n") + b"\n",
    "garbage": b"hello\r\n\r\n",
}
for first, (first_data, first_reply) in PIECES.items():
    for second, data in BROKEN.items():
        refuses("a broken request in a pipeline", f"{first}, {second}",
                first_data + data + SMUGGLED, first_reply)

assert len({(case.group,
             case.name) for case in CASES}) == len(CASES), "two cases have one name"
assert len({case.data for case in CASES}) == len(CASES), "two cases have the same bytes"
