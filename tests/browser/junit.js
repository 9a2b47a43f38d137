// SPDX-License-Identifier: MIT
// A reporter for node's test runner: JUnit's form, as tools/count_results reads it.
const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escape(text) {
    return String(text).replace(/[&<>"]/g, c => ESCAPES[c])
        .replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd]/g, "?");
}

function inside(type, data) {
    if (type === "test:fail" && !data.todo) {
        const error = data.details.error;
        const text = error?.cause?.stack ?? error?.cause ?? error?.stack ?? error;
        return `<failure>${escape(text)}</failure>`;
    }
    if (data.skip === undefined || data.skip === false)
        return "";
    return `<skipped message="${data.skip === true ? "" : escape(data.skip)}"/>`;
}

export default async function* junit(source) {
    yield '<?xml version="1.0" encoding="utf-8"?>\n<testsuites><testsuite name="browser">\n';
    for await (const { type, data } of source) {
        if (type !== "test:pass" && type !== "test:fail")
            continue;
        const seconds = (data.details.duration_ms / 1000).toFixed(3);
        yield `<testcase name="${escape(data.name)}" time="${seconds}">${inside(type, data)}</testcase>\n`;
    }
    yield "</testsuite></testsuites>\n";
}
