# SPDX-License-Identifier: MIT
"""Compares our reader of .env files with python-dotenv itself, which is the specification. Where
python-dotenv warns (and skips) or raises, our reader must report an error for the same line; all
other texts must give the same names and values in the same order. The only deliberate
difference: a NUL byte is an error here."""
import json
import os
import pathlib
import random
import re
import subprocess

import dotenv
import dotenv.parser
import pytest

from harness.waiting import PATIENCE

BUILD_DIR = pathlib.Path(os.environ.get("BUILD_DIR", "build"))
DUMP = BUILD_DIR / "tests" / "dotenv_dump"

# One unusual file each. A comment explains what the bytes do not show.
CORPUS = [
    b"",
    b"\n",
    b" \t\n\n  ",
    b"#",
    b"# only a comment",
    b"   # an indented comment\n#\n",
    b"A=1",
    b"A=1\n",
    b"A=1\r\nB=2\r\n",
    b"A=1\rB=2\r",
    b"A=1\n\rB=2\r\r\nC=3",
    b" A = 1 \n",
    b"\tA\t=\t1\t\n",
    b"A=\n",
    b"A=",
    b"A= ",
    b"A",
    b"A\nB\n",
    b"A #comment\n",
    b"A#comment\n",
    b"A=1\nA=2\n",
    b"A=1\nA\n",
    b"A=1\nA=\n",
    b"export A=1\n",
    b"export\tA=1\n",
    b"export  \t A=1\n",
    b"export A\n",
    b"export\n",
    b"export=1\n",
    b"exportA=1\n",
    b"export\nA=1\n",
    b"export export A=1\n",
    b"export # comment\n",
    b"export =1\n",
    b"export ",
    b"EXPORT A=1\n",
    b"'A'=1\n",
    b"'A B'=1\n",
    b"'A\nB'=1\n",  # a name over two lines
    b"'A=1\n",
    b"''=1\n",
    b"'A'B=1\n",
    b"'A' # comment\n",
    b"'A\\'B'=1\n",  # a quoted name has no escapes
    b'"A"=1\n',  # double quotes are part of the name
    b"A-B.C=1\n",
    b"1=2\n",
    b"=1\n",
    b" =\n",
    b"A B=1\n",
    b"A=1 2  3\n",
    b"A=1 # comment\n",
    b"A=1# no comment\n",
    b"A=1 #comment # more\n",
    b"A=1\t#comment\n",
    b"A= # a value, not a comment\n",
    b"A=# a value as well\n",
    b"A=#\n",
    b"A=a#b #c\n",
    b"A=a # b#c\n",
    b"A=b=c==d\n",
    b"A==\n",
    b"A=$B ${C}\n",
    b"A='1'\n",
    b"A='1' # comment\n",
    b"A='1'# comment\n",
    b"A='1'#\n",
    b"A='1' 2\n",
    b"A='1'2\n",
    b"A=''\n",
    b"A=' 1 '\n",
    b"A='a # b'\n",
    b"A='a\nb'\n",
    b"A='a\r\nb\rc'\n",
    b"A='a\\'b'\n",
    b"A='a\\\\b'\n",
    b"A='a\\nb'\n",  # no newline in single quotes
    b"A='a\\\\'b'\n",  # two backslashes do not free the quote
    b"A='a\\'\n",  # backtracking: the last escaped quote closes
    b"A='a\\'\nB=2\n",
    b"A='a\\'b\\'\n",
    b"A='a\\'b\\' # c\n",
    b"A='a\\'\nB='b'\n",
    b"A='\\'",
    b"A='\n",
    b"A='",
    b"A=1\n\n\nB='never closed\nC=3\n",
    b'A="1"\n',
    b'A="a\\nb\\tc\\"d\\\\e\\\'f"\n',
    b'A="\\a\\b\\f\\n\\r\\t\\v"\n',
    b'A="\\q\\x41\\u00e9\\101"\n',  # not among the escapes
    b'A="\\\\n"\n',
    b'A="\\\\\\n"\n',
    b'A="a\\"\n',
    b'A="a\\\\" # x "y"\n',
    b'A="a\nb\n\nc" # comment\nB=2\n',
    b'A="it\'s"\n',
    b"A='say \"hi\"'\n",
    b'A="never closed\n',
    b'A="1" "2"\n',
    b"A=it's\n",
    b'A=a"b"c\n',
    b"A=\\n\\t\n",
    b"A=a\\\nB=b\n",  # no continuation
    b"A: 1\n",
    b"[section]\n",
    b"[a section]\n",
    b"A=1\n\n  \n B C\n",  # the error is on line 4
    b"A=1;B=2\n",
    b"\xef\xbb\xbfA=1\n",  # byte order mark
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf# comment\n",
    b"A=\xef\xbb\xbf1\n",
    "SCHLÜSSEL=größe\n".encode(),
    "A=\U0001f600 # smile\n".encode(),
    "A=1\u00a0# behind a no-break space\n".encode(),
    "\u00a0A\u2003=\u30001\u2028\n".encode(),
    "A=1\u2028B=2\n".encode(),  # a separator of lines, not an end of one
    "A\u2028B=2\n".encode(),
    "A=1\u0085\u1680\u2000\u200a\u2029\u202f\u205f\n".encode(),
    "A=1\u200b\u180e\ufeff\n".encode(),  # not white space in Python
    "export\u00a0A=1\n".encode(),
    "A='1'\u2003#c\n".encode(),
    b"A=1\x0b\x0c\x1c\x1d\x1e\x1f\n",
    b"A=1\x1b\x7f\x01\n",
    b"\x0b\x0cA=1\n",
    b"A\x1c=1\n",
    b"A=1\x0c# cut\n",
    b"A='1'\x0b\x1f\n",
    b"A=1\xff\n",
    b"A=1\nB=\x80\n",
    b"A=1\r\nB=2\r\rC=\xc3\n",
    b"A=1\nB=\xc3",
    b"A=\xc0\xaf\n",  # overlong
    b"A=\xe0\x80\xaf\n",
    b"A=\xed\xa0\x80\n",  # a surrogate
    b"A=\xf0\x8f\xbf\xbf\n",
    b"A=\xf4\x8f\xbf\xbf\n",  # the last code point
    b"A=\xf4\x90\x80\x80\n",
    b"A=\xf5\x80\x80\x80\n",
    b"A=\xe2\x80\n",
    b"A=\xf0\x9f\x98",
    b"# a comment that is not UTF-8: \xe9\nA=1\n",
    b"A=\x00\n",
    b"A=1\n# \x00\n",
    b"A B\nC=\xff\n",  # encoding errors come before syntax errors
    b"A=" + b"x" * 100_000 + b"\n",
    b"A" * 100_000,
    b"A='" + b"\\'" * 50_000 + b"\n",
    b"\n" * 5000 + b"A B\n",
]

FRAGMENTS = [
    b"\n", b"\n", b"\r\n", b"\r", b" ", b"\t", b"=", b"=", b"'", b'"', b"\\", b"\\'", b'\\"',
    b"#", b" #", b"A", b"B=1", b"export", b"export ", b"A=", b"A='", b'A="', b"\\n", b"\\\\",
    b"\\x", b"a b", b"x", b"\x0b", b"\x0c", b"\x1c", b"$A", "é".encode(), "\u00a0".encode(),
    "\u2028".encode(), "\u3000".encode(), "\u0085".encode(), "\u200b".encode(),
    b"\xef\xbb\xbf", b"\nA=1\n", b"'\n", b'"\n', b"# c\n",
]
RARE_FRAGMENTS = [b"\x00", b"\xff", b"\xc3", b"\xe2\x80", b"\xed\xa0\x80"]


def newlines_before(data, position):
    return len(re.findall(rb"\r\n|\n|\r", data[:position]))


def undecodable(data):
    """Where the bytes stop being acceptable text, or None."""
    faults = []
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        faults.append(error.start)
    if b"\x00" in data:
        faults.append(data.index(b"\x00"))
    return min(faults, default=None)


def expected(path):
    """The result of our reader: the pairs, or the line of the first error."""
    data = path.read_bytes()
    position = undecodable(data)
    if position is not None:
        return "line %d" % (newlines_before(data, position) + 1)

    with open(path, encoding="utf-8") as stream:
        bindings = list(dotenv.parser.parse_stream(stream))
    for binding in bindings:
        if binding.error:
            # python-dotenv counts from the blank lines before the statement.
            text = binding.original.string
            blank = text[: len(text) - len(text.lstrip())]
            return "line %d" % (binding.original.line + blank.count("\n"))

    pairs = [[b.key, b.value] for b in bindings if b.key is not None]
    assert dict(pairs) == dotenv.dotenv_values(path, interpolate=False)
    return pairs


def read_by_us(paths):
    done = subprocess.run([DUMP, *paths], capture_output=True, timeout=60 * PATIENCE, check=False)
    assert done.stderr == b""
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(paths)
    assert done.returncode == (1 if any("error" in a for a in answers) else 0)
    return [a["pairs"] if "pairs" in a else a["error"].split(":")[0] for a in answers]


def read_all(folder, texts):
    """(file, what we read) of each text; one process reads all of them."""
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"{number}.env")
        paths[-1].write_bytes(text)
    return list(zip(paths, read_by_us(paths)))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return read_all(tmp_path_factory.mktemp("corpus"), CORPUS)


@pytest.mark.parametrize("number", range(len(CORPUS)), ids=lambda number: repr(CORPUS[number][:30]))
def test_odd_file_reads_as_in_python(corpus, number):
    path, ours = corpus[number]
    assert ours == expected(path), path.read_bytes()[:300]


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.heavy)
                                       for n in range(1, 10))])
def test_random_text_reads_as_in_python(tmp_path, seed):
    """With sanitizers one part is enough: it is the same program, of one thread, and a fuzzer gives
    it random text as well."""
    chance = random.Random(seed)
    texts = []
    for _ in range(500):
        parts = chance.choices(FRAGMENTS, k=chance.randint(1, 14))
        if chance.random() < 0.05:
            parts.insert(chance.randint(0, len(parts)), chance.choice(RARE_FRAGMENTS))
        texts.append(b"".join(parts))
    for path, ours in read_all(tmp_path, texts):
        assert ours == expected(path), path.read_bytes()[:300]


def test_random_text_is_not_all_refused(tmp_path):
    """The comparison would be worthless if nearly all texts were errors."""
    chance = random.Random(0)
    path = tmp_path / "one.env"
    good = 0
    for _ in range(500):
        path.write_bytes(b"".join(chance.choices(FRAGMENTS, k=chance.randint(1, 14))))
        answer = expected(path)
        good += isinstance(answer, list) and len(answer) > 0
    assert good > 75
