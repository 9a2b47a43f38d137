// SPDX-License-Identifier: MIT
// Ports as people write them, "7466, 50800-50900": the rules and the messages are those of
// the service (src/api/check_request.c), and a test holds one against the other.

const PORT_MAX = 65535;

function readRange(text) {
    const found = /^(\d{1,5})-(\d{1,5})$/.exec(text);
    const first = found ? Number(found[1]) : 0;
    const last = found ? Number(found[2]) : 0;
    if (first < 1 || last > PORT_MAX || first > last)
        return { fault: "Invalid port range: write it as first-last, both 1-65535, first not above last" };
    return { first, last, item: `${first}-${last}` };
}

function readItem(text) {
    if (text.indexOf("-", 1) > 0)
        return readRange(text);
    if (!/^\d+$/.test(text))
        return { fault: "value is not a valid integer" };

    const port = Number(text);
    if (port < 1 || port > PORT_MAX)
        return { fault: `Invalid port number: ${text.replace(/^0+(?=.)/, "")}` };
    return { first: port, last: port, item: port };
}

// The words between commas, spaces or line ends. A dash may have spaces around it.
export function splitPorts(text) {
    return text.replace(/\s*[-\u2010-\u2015]\s*(?=\d)/g, (dash, at, all) =>
        /\d\s*$/.test(all.slice(0, at)) ? "-" : dash).split(/[\s,;]+/).filter(Boolean);
}

// {items, ports} or {fault}: items in the form of the service, ports one by one in order.
export function parsePorts(text, max) {
    const items = [];
    const ports = new Set();
    for (const word of splitPorts(text)) {
        const { fault, item, first, last } = readItem(word);
        if (fault)
            return { fault: fault.endsWith(word) ? fault : `\u201c${word}\u201d: ${fault}` };
        items.push(item);
        for (let port = first; port <= last; port++)
            ports.add(port);
    }
    if (ports.size > max)
        return { fault: `too many ports: at most ${max} different ones may be asked for at once` };
    if (ports.size === 0)
        return { fault: "field required" };
    return { items, ports: [...ports] };
}

export function formatItems(items) {
    return items.join(", ");
}

// [[50800, 50863], [50865, 50865]] of any ports.
export function runsOf(ports) {
    const runs = [];
    for (const port of [...ports].sort((a, b) => a - b)) {
        const last = runs[runs.length - 1];
        if (last && last[1] === port - 1)
            last[1] = port;
        else
            runs.push([port, port]);
    }
    return runs;
}

export function formatRun([first, last]) {
    return first === last ? `${first}` : `${first}\u2013${last}`;
}

export function formatRuns(ports) {
    return runsOf(ports).map(formatRun).join(", ");
}
