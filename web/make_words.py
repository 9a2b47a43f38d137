#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns words.json, the texts of the page with and without JavaScript, into what each needs.

    make_words.py words.json > page_words.def          for api/page_words.c
    make_words.py words.json words.js > words.js       the module, with the texts before it

The same input gives the same output, byte for byte. A placeholder that is not among `words`
stops the build; what stands between two backticks is code. Of rows that fit a problem the first one counts: those with a code come
before the one of their status.
"""
import json
import pathlib
import re
import sys

MACROS = ("REMEDY", "PLACES", "PROBLEM", "REFUSAL", "HEADLINE")
OF_PLACES = ("differ", "undecided")
PAGE_ONLY = ("unknown", "other")  # this service does not report them
HEAD = """\
/* SPDX-License-Identifier: MIT
 *
 * Made by web/make_words.py from web/words.json: change that, not this.
 *
 * Rows of those macros that are defined where this is included; it undefines them all.
 * REMEDY(state, is for IPv6 only, lead, steps...), PLACES(word, lead, steps...): of ports whose
 * places differ or are missing, PROBLEM(status, code or NULL, title,
 * text), REFUSAL(reason, title, text), HEADLINE(is public, which are open, of one port, of
 * many)
 */
"""


def sentences_of(texts):
    for row in texts["remedies"]:
        yield from (row["lead"], *row["steps"])
    for row in texts["headlines"]:
        yield from (row["one"], row["many"])


def check(texts):
    for sentence in sentences_of(texts):
        if sentence.count("`") % 2:
            raise SystemExit(f"words.json: a backtick without a partner: {sentence}")
        for name in re.findall(r"\{(\w*)\}|[{}]", sentence):
            if name not in texts["words"]:
                raise SystemExit(f"words.json: {{{name}}} is not among words: {sentence}")


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def table(texts):
    yield HEAD
    yield "".join(f"#ifndef {name}\n#define {name}(...)\n#endif\n" for name in MACROS) + "\n"
    for row in texts["remedies"]:
        sentences = ",\n       ".join(map(quoted, (row["lead"], *row["steps"])))
        if row["state"] in OF_PLACES:
            yield f"PLACES({row['state'].upper()},\n       {sentences})\n"
        elif row["state"] not in PAGE_ONLY:
            yield (f"REMEDY({row['state'].upper()}, {str(row.get('family') == 6).lower()},\n"
                   f"       {sentences})\n")
    for row in texts["headlines"]:
        yield (f"HEADLINE({str(row['reach'] == 'public').lower()}, {row['open'].upper()},\n"
               f"         {quoted(row['one'])},\n         {quoted(row['many'])})\n")
    for row in texts["problems"]:
        for reason in row.get("reasons", ()):
            yield (f"REFUSAL({reason}, {quoted(row['title'])},\n"
                   f"        {quoted(row['text'])})\n")
        status = row["when"].split("_")[0].replace("other", "0")
        if status.isdigit() and ("code" in row or "_" not in row["when"]):
            code = quoted(row["code"]) if "code" in row else "NULL"
            yield (f"PROBLEM({status}, {code}, {quoted(row['title'])},\n"
                   f"        {quoted(row['text'])})\n")
    yield "\n" + "".join(f"#undef {name}\n" for name in MACROS)


def main(path, module=None):
    texts = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    check(texts)
    sys.stdout.reconfigure(encoding="utf-8")
    if module:
        del texts["words"]
        for row in texts["problems"]:
            row.pop("reasons", None)
        print(f"const TEXTS = {json.dumps(texts, ensure_ascii=False, separators=(',', ':'))};")
        print(pathlib.Path(module).read_text(encoding="utf-8"), end="")
    else:
        print("".join(table(texts)), end="")


main(*sys.argv[1:])
