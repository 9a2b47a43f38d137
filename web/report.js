// SPDX-License-Identifier: MIT
// What is said when a check has ended, and what can be taken away from it.
import { formatRuns, runsOf } from "./ports.js";
import { STATES, remedy } from "./words.js";

const JUDGED = ["open", "closed", "filtered", "unreachable", "unknown"];
const RUNS_IN_A_SENTENCE = 6;

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

function portsIn(check, state) {
    return check.ports.filter(port => (check.verdicts.get(port)?.state ?? "unknown") === state);
}

export function showRuns(root, check) {
    const list = element("dl");
    for (const state of JUDGED) {
        const ports = portsIn(check, state);
        if (ports.length > 0)
            list.append(element("dt", "", glyph(state), STATES[state].name), element("dd", "", formatRuns(ports)));
    }
    root.replaceChildren(list);
}

export function showRemedies(root, check, wasStopped) {
    const cards = [];
    for (const state of JUDGED.slice(1)) {
        const ports = portsIn(check, state);
        if (ports.length === 0 || (state === "unknown" && wasStopped))
            continue;
        const told = runsOf(ports).length <= RUNS_IN_A_SENTENCE ? formatRuns(ports) : "these ports";
        const [title, meaning, steps] = remedy(state, check.address, told);
        const list = element("ul", "", ...steps.map(step => element("li", "", step)));
        const card = element("article", "card remedy", element("h3", "", glyph(state), title),
            ...meaning.map(text => element("p", "", text)), list);
        card.dataset.state = state;
        cards.push(card);
    }
    root.replaceChildren(...cards);
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
    const { success = false, message = "The check did not end" } = check.last ?? {};
    return `{\n  "success": ${success},\n  "results": {\n${results.join(",\n")}\n  },\n  "message": ${
        JSON.stringify(message)}\n}\n`;
}

export function asCurl(check) {
    const body = asRequest(check).replaceAll("'", "'\\''");
    return `curl -s ${location.origin}/check-ports -H 'Content-Type: application/json' -d '${body}'`;
}

export function asFragment(check, ownAddress) {
    const address = check.address === ownAddress ? "" : `&address=${encodeURIComponent(check.address)}`;
    return `#ports=${check.items.join(",")}${address}`;
}
