// SPDX-License-Identifier: MIT
// The report after a check, and what can be copied from it.
import { formatRun, formatRuns, runsOf } from "./ports.js";
import { STATES, nameOf, placesOf, remedy, shownState, wordOf } from "./words.js";

const RUNS_IN_A_SENTENCE = 6;
const USUAL_PORTS = "7466,50800-50900";

function element(name, className, ...children) {
    const made = document.createElement(name);
    if (className)
        made.className = className;
    made.append(...children);
    return made;
}

export function glyph(state) {
    const made = element("span", "glyph");
    made.dataset.state = state;
    made.setAttribute("aria-hidden", "true");
    return made;
}

export function portsIn(check, state) {
    return check.ports.filter(port => (check.verdicts.get(port)?.state ?? "unknown") === state);
}

// The ports of each word under which verdicts are reported; the words that this page knows come
// first. Places that differ in one way are one group, whatever the verdict.
function groupsOf(check) {
    const groups = new Map(Object.keys(STATES).map(word => [word, { word, ports: [] }]));
    const add = (key, word, port, places) => {
        if (!groups.has(key))
            groups.set(key, { word, ports: [], places });
        groups.get(key).ports.push(port);
    };
    for (const port of check.ports) {
        const verdict = check.verdicts.get(port);
        const places = placesOf(verdict);
        const word = wordOf(verdict);
        if (word !== "differ")
            add(word, word, port);
        if (places.from.length > 0 && places.without.length > 0)
            add(`differ ${places.from} ${places.without}`, "differ", port, places);
    }
    return [...groups.values()].filter(({ ports }) => ports.length > 0);
}

function headingOf(word) {
    if (word === "differ")
        return [glyph("open"), glyph("filtered"), "mixed "];
    return word === "undecided" ? [glyph("limited"), "places missing "] : [glyph(shownState(word)), `${nameOf(word)} `];
}

// A command in which no line breaks within an option.
function command(text) {
    return element("code", "", ...text.split(/(?<= )(-\S+)/).map((part, i) => i % 2 ? element("span", "run", part) : part));
}

// A sentence in which no line breaks within a run of ports, and `this` is code.
function sentence(text) {
    return text.split(/(`[^`]+`|\d+\u2013\d+)/).map((part, i) => {
        if (i % 2 === 0)
            return part;
        return part.startsWith("`") ? command(part.slice(1, -1)) : element("span", "run", part);
    });
}

// Each run is one piece, so that no line breaks within it.
function runPieces(ports) {
    return runsOf(ports).flatMap((run, i) => {
        const piece = element("span", "run", formatRun(run));
        return i === 0 ? [piece] : [", ", piece];
    });
}

function section(check, { word, ports, places }) {
    const told = runsOf(ports).length <= RUNS_IN_A_SENTENCE ? formatRuns(ports) : null;
    const { lead, steps } = remedy(word, check.address, told, ports.length, check.last?.limit?.answered, asArguments(check), places);
    const count = element("span", "count", ports.length.toLocaleString("en"));
    const made = element("section", "",
        element("h3", "", ...headingOf(word), count),
        element("div", "",
            element("p", "runs", ...runPieces(ports)),
            element("p", "", ...sentence(lead)),
            ...(steps.length > 0 ? [element("ul", "", ...steps.map(step => element("li", "", ...sentence(step))))] : [])));
    made.dataset.state = ["differ", "undecided"].includes(word) ? word : shownState(word);
    return made;
}

// For each word that occurs: which ports, what it means, what to do about it.
export function showReport(root, check) {
    root.replaceChildren(...groupsOf(check).map(group => section(check, group)));
}

// The ports, unless they are those that port-verifier checks anyway, and the checker.
function asArguments(check) {
    const ports = check.items.join(",");
    return { asked: ports === USUAL_PORTS ? "" : `-p ${ports} `, checker: new URL(".", location).href.replace(/\/$/, "") };
}

// What to advertise, in the form in which port-verifier prints it.
export function asPorts(check) {
    return formatRuns(portsIn(check, "open")).replaceAll("\u2013", "-").replaceAll(" ", "");
}

// The request and its answer in the form in which POST /check-ports has them.
export function asRequest(check) {
    return `{"provider_ip": ${JSON.stringify(check.address)}, "ports": [${
        check.items.map(item => JSON.stringify(item)).join(", ")}], "details": true}`;
}

export function asJson(check) {
    const results = check.ports.filter(port => check.verdicts.has(port)).map(port => {
        const { port: _, ...verdict } = check.verdicts.get(port);
        return `    "${port}": ${JSON.stringify(verdict)}`;
    });
    const { success = false, message = "The check did not finish", limit, quorum } = check.last ?? {};
    const rest = Object.entries({ limit, quorum }).filter(([, value]) => value)
        .map(([name, value]) => `,\n  "${name}": ${JSON.stringify(value)}`).join("");
    return `{\n  "success": ${success},\n  "results": {\n${results.join(",\n")}\n  },\n  "message": ${
        JSON.stringify(message)}${rest}\n}\n`;
}

export function asCurl(check) {
    const body = asRequest(check).replaceAll("'", "'\\''");
    return `curl -s ${new URL("check-ports", location)} -H 'Content-Type: application/json' -d '${body}'`;
}

export function asFragment(check, ownAddress) {
    const address = check.address === ownAddress ? "" : `&address=${encodeURIComponent(check.address)}`;
    return `#ports=${check.items.join(",")}${address}`;
}
