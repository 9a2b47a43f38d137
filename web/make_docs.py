#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the readable reference of an OpenAPI description: one page, no scripts.

    make_docs.py openapi.json > docs.html
"""
import json
import re
import sys
from html import escape

HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>API reference: {title}</title>
<link rel="icon" href="./icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="./style.css">
<link rel="stylesheet" href="./docs.css">
</head>
<body class="reference">
<a class="skip" href="#main">Skip to the reference</a>
<header class="top">
  <a class="brand" href="./"><img src="./icon.svg" width="28" height="28" alt="">{title}</a>
  <nav aria-label="Site"><a href="./">Check ports</a></nav>
</header>
<main id="main">
"""
FOOT = """\
</main>
<footer class="bottom">
<p>Version {version}. For programs: <a href="./openapi.json">openapi.json</a>.</p>
</footer>
</body>
</html>
"""
LINE_MAX = 80
METHODS = ("post", "get")


def join_lines(found):
    text = re.sub(r"\n\s*", " ", found.group())
    return text[0] + text[1:-1].strip() + text[-1]


def show(value):
    """A value as people like to read it: short ones, and innermost objects, on one line."""
    if isinstance(value, str):
        return value
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= LINE_MAX:
        return text
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return re.sub(r"[{\[][^{}\[\]]*[}\]]", join_lines, text)


class Reference:
    def __init__(self, document):
        self.document = document
        self.lines = []

    def put(self, *lines):
        self.lines.extend(lines)

    def resolve(self, node):
        while "$ref" in node:
            found = self.document
            for part in node["$ref"].lstrip("#/").split("/"):
                found = found[part]
            node = found
        return node

    # --- text -------------------------------------------------------------------------

    @staticmethod
    def inline(text):
        return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))

    def paragraphs(self, text):
        for paragraph in (text or "").split("\n\n"):
            if paragraph:
                self.put(f"<p>{self.inline(paragraph)}</p>")

    def code(self, label, source):
        text = escape(source.rstrip(), quote=False)
        self.put(f'<figure><figcaption>{escape(label)}</figcaption>'
                 f'<pre tabindex="0"><code>{text}</code></pre></figure>')

    def table(self, heads, rows):
        """Cells are HTML."""
        self.put('<div class="scroll" tabindex="0"><table><thead><tr>',
                 "".join(f"<th>{head}</th>" for head in heads), "</tr></thead><tbody>")
        for row in rows:
            self.put("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>")
        self.put("</tbody></table></div>")

    # --- schemas ----------------------------------------------------------------------

    def kind(self, schema):
        """A few words for what a value may be."""
        schema = self.resolve(schema)
        if "const" in schema:
            return f"<code>{escape(json.dumps(schema['const']))}</code>"
        if "enum" in schema:
            values = map(json.dumps, schema["enum"])
            return " ".join(f"<code>{escape(value)}</code>" for value in values)
        if "x-extensible-enum" in schema:
            return self.kind({"enum": schema["x-extensible-enum"]}) + " or more words"
        if "oneOf" in schema:
            kinds = dict.fromkeys(self.kind(one) for one in schema["oneOf"])
            return " or ".join(kinds)
        kind = schema.get("type", "any")
        if isinstance(kind, list):
            return " or ".join(kind)
        if kind == "array" and "items" in schema:
            return f"list of {self.kind(schema['items'])}"
        if kind == "integer" and "minimum" in schema and "maximum" in schema:
            return f"integer, {schema['minimum']} to {schema['maximum']}"
        return kind

    def members(self, schema, path=""):
        """Rows of (name, kind, required, description), those of objects inside included."""
        schema = self.resolve(schema)
        for name, member in schema.get("properties", {}).items():
            whole = self.resolve(member)
            is_required = name in schema.get("required", ())
            yield path + name, self.kind(member), is_required, whole.get("description", "")
            inner = whole.get("additionalProperties")
            if isinstance(inner, dict):
                yield from self.members(inner, f"{path}{name}.<port>.")
            elif whole.get("type") == "array":
                yield from self.members(whole.get("items", {}), f"{path}{name}[].")
            else:
                yield from self.members(whole, f"{path}{name}.")

    def schema(self, schema):
        rows = list(self.members(schema))
        for part in self.resolve(schema).get("oneOf", ()):
            known = {row[0] for row in rows}
            rows += [row for row in self.members(part) if row[0] not in known]
        if rows:
            self.table(("Member", "Value", ""), (
                (f"<code>{escape(name)}</code>", kind,
                 ("" if is_required else "<em>optional</em> ") + self.inline(description))
                for name, kind, is_required, description in rows))

    def content(self, content):
        for media, body in content.items():
            schema = self.resolve(body["schema"])
            if media != "text/html" or "properties" in schema:
                self.put(f'<p class="media"><code>{escape(media)}</code></p>')
            self.schema(schema)
            for name, example in body.get("examples", {}).items():
                self.code(example.get("summary", name), show(example["value"]))

    # --- operations -------------------------------------------------------------------

    @staticmethod
    def codes(response):
        for body in response.get("content", {}).values():
            for example in body.get("examples", {}).values():
                if isinstance(example["value"], dict) and "code" in example["value"]:
                    yield example["value"]["code"]

    @staticmethod
    def problems(responses):
        """The answers of an operation other than success."""
        return {status: response for status, response in responses.items()
                if not status.startswith("2")}

    def problem_table(self):
        """Each answer other than success once, however many operations have it."""
        having = {}
        count = 0
        for tag in self.document["tags"]:
            for method, path, operation in self.operations(tag["name"]):
                count += 1
                for status, response in self.problems(operation["responses"]).items():
                    response = self.resolve(response)
                    codes = dict.fromkeys(self.codes(response))
                    row = (status, "<br>".join(f"<code>{escape(code)}</code>" for code in codes),
                           self.inline(response["description"]))
                    having.setdefault(row, []).append(
                        f'<a href="#{operation["operationId"]}">{self.name(method, path)}</a>')
        self.put('<h2 id="problems">Other statuses</h2>', '<section class="card operation">')
        self.table(("Status", "Code", "Where", "When"), (
            (status, codes,
             "all" if len(where) == count else "all others" if len(where) > count / 2
             else "<br>".join(where), when)
            for (status, codes, when), where in sorted(having.items(), key=lambda it: (it[0][0], len(it[1]), it))))
        self.put("</section>")

    @staticmethod
    def name(method, path):
        return (f'<span class="method">{method.upper()}</span> '
                f"<code>{escape(path)}</code>")

    def operation(self, method, path, operation):
        self.put(f'<section class="card operation" id="{operation["operationId"]}">',
                 f"<h3>{self.name(method, path)}</h3>",
                 f'<p class="summary">{self.inline(operation["summary"])}</p>')
        self.paragraphs(operation.get("description"))
        for sample in operation.get("x-codeSamples", ()):
            self.code(sample["label"], sample["source"])
        if "parameters" in operation:
            self.put("<h4>Query</h4>")
            self.table(("Parameter", "Value", ""), (
                (f"<code>{escape(one['name'])}</code>", self.kind(one["schema"]),
                 self.inline(one["description"])) for one in operation["parameters"]))
        if "requestBody" in operation:
            self.put("<h4>Request</h4>")
            self.paragraphs(operation["requestBody"].get("description"))
            self.content(operation["requestBody"]["content"])
        responses = operation["responses"]
        problems = self.problems(responses)
        for status in responses:
            if status in problems:
                continue
            response = self.resolve(responses[status])
            self.put(f"<h4>Response {status}</h4>")
            self.paragraphs(response["description"])
            self.content(response.get("content", {}))
        self.put(f'<p class="others"><a href="#problems">Other statuses</a>: '
                 f'{", ".join(problems)}.</p>')
        self.put("</section>")

    def operations(self, tag):
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item and item[method]["tags"] == [tag]:
                    yield method, path, item[method]

    def faults(self):
        """The one error with a list."""
        invalid = self.document["components"]["responses"]["Invalid"]
        self.put('<section class="card operation" id="faults"><h3>Invalid bodies: 422</h3>')
        self.paragraphs(invalid["description"])
        self.content(invalid["content"])
        self.put("</section>")

    def page(self):
        info = self.document["info"]
        self.put(HEAD.format(title=escape(info["title"])), "<h1>API reference</h1>")
        self.put('<nav class="card contents" aria-label="Contents"><ul>')
        for tag in self.document["tags"]:
            for method, path, operation in self.operations(tag["name"]):
                summary = self.inline(operation["summary"])
                self.put(f'<li><a href="#{operation["operationId"]}">'
                         f'{self.name(method, path)}</a> '
                         f'<span class="hint">{summary}</span></li>')
        self.put('<li><a href="#problems">Other statuses</a></li></ul></nav><div class="lead">')
        self.paragraphs(info["description"])
        self.put("</div>")
        for tag in self.document["tags"]:
            self.put(f'<h2>{escape(tag["name"])}</h2>',
                     f'<p class="hint">{escape(tag["description"])}</p>')
            for operation in self.operations(tag["name"]):
                self.operation(*operation)
            if tag["name"] == "Checks":
                self.faults()
        self.problem_table()
        self.put(FOOT.format(version=escape(info["version"])))
        return "\n".join(self.lines)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        print(Reference(json.load(file)).page())


main()
