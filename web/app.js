// SPDX-License-Identifier: MIT
// The page: the form, one check at a time, and how it ends.
import { Grid } from "./grid.js";
import { formatItems, parsePorts } from "./ports.js";
import { asCurl, asFragment, asJson, asPorts, asRequest, glyph, portsIn, showReport } from "./report.js";
import { ask, check as runCheck } from "./stream.js";
import { REACH_NOTES, STATES, placeName, plural, problem, reachOf, shownState, summary } from "./words.js";

const TYPING_PAUSE = 500;  // ms without a key until a fault is shown
const TELL_EVERY = 4000;   // ms between two messages to a screen reader
const NARROW = matchMedia("(max-width: 40rem)");

const $ = id => document.getElementById(id);
const grid = new Grid($("grid"), $("tip"));
const limits = { targets: "own", max_ports: 1024 };
let own = null;      // the caller's address
let current = null;  // the check that is shown
let countdown = null;

// --- the form ---------------------------------------------------------------------------

function tellFault(id, text) {
    $(id).toggleAttribute("aria-invalid", Boolean(text));
    if (text)
        $(id).setAttribute("aria-invalid", "true");
    $(`${id}-error`).textContent = text ?? "";
    $(`${id}-error`).hidden = !text;
    $(`${id}-hint`).hidden = Boolean(text);
}

function readPorts() {
    const read = parsePorts($("ports").value, limits.max_ports);
    if (!read.fault)
        $("ports-hint").textContent = `${plural(read.ports.length)}. Single ports and ranges, separated by commas.`;
    return read;
}

let typing = null;
function onTyping() {
    clearTimeout(typing);
    const { fault } = readPorts();
    if (!fault)
        tellFault("ports", null);
    else
        typing = setTimeout(() => tellFault("ports", fault), TYPING_PAUSE);
}

function explainAddress() {
    const isOwn = [own, ""].includes($("address").value.trim());
    const whose = limits.targets === "own"
        ? "Yours. This checker only checks the address you connect from."
        : isOwn ? "Yours, as this checker sees it. You can enter another." : `Yours is ${own}.`;
    const note = REACH_NOTES[reachOf(own)] ??
        (own.includes(":") ? "You reached this checker over IPv6. To test IPv4, open this page over IPv4." : null);
    $("address-hint").textContent = whose;
    $("reach").textContent = note ?? "";
    $("reach").hidden = !note;
    $("address").readOnly = limits.targets === "own";
    $("address").placeholder = own;
}

function readFragment() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    if (wanted.has("ports"))
        $("ports").value = wanted.get("ports").replaceAll(",", ", ");
    if (wanted.has("address") && limits.targets !== "own")
        $("address").value = wanted.get("address");
    explainAddress();
    onTyping();
}

async function learn() {
    try {
        const [{ ip }, told] = await Promise.all([ask("./ip"), ask("./limits")]);
        own = ip;
        Object.assign(limits, told);
        if ($("address").value === "" || limits.targets === "own")
            $("address").value = own;
        readFragment();
    } catch (error) {
        const [title, text] = problem(error.outcome ?? { end: "lost" });
        showProblem([title, text, "Reload the page"], null, () => location.reload());
    }
}

// --- while it runs ----------------------------------------------------------------------

function countStates() {
    const counts = Object.fromEntries(Object.keys(STATES).map(state => [state, 0]));
    for (const verdict of current.verdicts.values())
        counts[shownState(verdict.state)]++;
    counts[current.isRunning ? "waiting" : "unknown"] += current.ports.length - current.verdicts.size;
    return counts;
}

function makeLegend() {
    const items = Object.entries(STATES).map(([state, { name, told }]) => {
        const item = document.createElement("li");
        const count = document.createElement("b");
        item.dataset.state = state;
        item.append(glyph(state), count, ` ${name}`);
        item.title = told;
        return item;
    });
    $("legend").replaceChildren(...items);
    $("bar").replaceChildren(...Object.keys(STATES).map(state => {
        const part = document.createElement("i");
        part.dataset.state = state;
        return part;
    }));
}

function showCounts() {
    const counts = countStates();
    for (const item of $("legend").children) {
        const state = item.dataset.state;
        item.querySelector("b").textContent = counts[state].toLocaleString("en");
        item.classList.toggle("none", counts[state] === 0);
        item.hidden = counts[state] === 0 && ["limited", "unknown", "waiting"].includes(state);
    }
    for (const part of $("bar").children) {
        part.style.flexGrow = counts[part.dataset.state];
        part.hidden = counts[part.dataset.state] === 0;
    }
    $("progress").textContent = current.isRunning ? `${current.verdicts.size} of ${current.ports.length}` : "";
    return counts;
}

// Which dot is which place. A place that is missing for every port is named with the reason.
function showPlaces() {
    const told = grid.places.map(name => {
        const all = [...current.verdicts.values()].map(({ vantages }) => vantages?.[name]).filter(Boolean);
        return all.every(({ state }) => state === "missing") ? `${name} ${placeName(all[0])}` : name;
    });
    const { needed, places } = current.last?.quorum ?? {};
    const rule = needed ? ` A port is open if ${needed} of ${plural(places, "place")} reach${needed === 1 ? "es" : ""} it.` : "";
    $("places").hidden = told.length === 0;
    $("places").textContent = `Dots, in this order: ${told.join(", ")}.${rule}`;
}

function showClock() {
    $("elapsed").textContent = `${((performance.now() - current.began) / 1000).toFixed(1)} s`;
}

function draw() {
    current.frame = 0;
    for (const verdict of current.fresh.splice(0))
        grid.mark(verdict.port, verdict);
    grid.draw();
    showPlaces();
    const counts = showCounts();
    const now = performance.now();
    if (current.isRunning && now - current.told > TELL_EVERY) {
        current.told = now;
        $("live").textContent = `${current.verdicts.size} of ${plural(current.ports.length)} checked, ${counts.open} open`;
    }
}

function onVerdicts(check, verdicts) {
    for (const verdict of verdicts)
        check.verdicts.set(verdict.port, verdict);
    check.fresh.push(...verdicts);
    check.frame ||= requestAnimationFrame(draw);
}

// One button at a time is the next one to press.
function setPrimary(id) {
    for (const button of document.querySelectorAll("button.primary"))
        button.classList.remove("primary");
    $(id).classList.add("primary");
}

// On a phone the advice comes before the field of ports, which may be long.
function arrange() {
    const had = document.activeElement;
    const field = $("grid").parentElement;
    const before = NARROW.matches ? $("after") : $("legend");
    if (before.nextElementSibling !== field)
        before.after(field);
    had.focus({ preventScroll: true });
    grid.setNarrow(NARROW.matches);
}

function setRunning(isRunning) {
    const hadFocus = [$("start"), $("stop")].includes(document.activeElement);
    current.isRunning = isRunning;
    document.body.dataset.running = isRunning;
    $("start").hidden = isRunning;
    $("stop").hidden = !isRunning;
    $("ports").readOnly = isRunning;
    $("address").readOnly = isRunning || limits.targets === "own";
    if (hadFocus)
        (isRunning ? $("stop") : $("start")).focus({ preventScroll: true });
}

// --- how it ends ------------------------------------------------------------------------

function showProblem([title, text, way], detail, action, seconds = null) {
    $("problem-title").textContent = title;
    $("problem-text").textContent = text;
    $("problem-detail").textContent = detail ?? "";
    $("problem-detail").hidden = !detail;
    $("problem-action").textContent = way;
    $("problem-action").onclick = action;
    $("problem").hidden = false;
    setPrimary("problem-action");
    $("problem-title").focus();
    countDown(way, seconds);
}

function countDown(way, seconds) {
    const end = performance.now() + (seconds ?? 0) * 1000;
    const tick = () => {
        const left = Math.ceil((end - performance.now()) / 1000);
        $("problem-action").disabled = left > 0;
        $("problem-action").textContent = left > 0 ? `${way} in ${left} s` : way;
        if (left <= 0)
            clearInterval(countdown);
    };
    clearInterval(countdown);
    if (seconds)
        countdown = setInterval(tick, 250);
    tick();
}

function hideProblem() {
    clearInterval(countdown);
    $("problem").hidden = true;
    setPrimary("start");
}

// Shows each fault at the field that it is about. Returns the first such field.
function tellFaults(faults) {
    let first = null;
    for (const { loc, msg } of Array.isArray(faults) ? faults : []) {
        const place = { provider_ip: "address", ports: "ports" }[loc[1]];
        if (place)
            tellFault(place, msg);
        first ??= place;
    }
    return first;
}

// The service's own sentence. For a refused address it is about the checker's settings: only
// its operator sees it.
function detailOf({ detail, status, retryAfter }) {
    const isForReader = status !== 403 || reachOf(own) === "loopback";
    return typeof detail === "string" && !retryAfter && isForReader ? detail : null;
}

function showRefusal(outcome, check) {
    const words = problem(outcome, { targets: limits.targets, address: check.address, own });
    let action = start;
    if (words[2] === "Use my own address" && check.address !== own) {
        action = () => {
            $("address").value = own;
            start();
        };
    } else if (words[2] === "Use my own address") {
        words[2] = $("address").readOnly ? "Check again" : "Change the address";
        action = $("address").readOnly ? start : () => $("address").focus();
    } else if (words[2] === "Change the ports") {
        action = () => $("ports").focus();
    }
    if (outcome.status === 422 && tellFaults(outcome.detail) === "address") {
        words[2] = "Change the address";
        action = () => $("address").focus();
    }
    showProblem(words, detailOf(outcome), action, outcome.retryAfter);
    document.querySelector("[aria-invalid=true]")?.focus();
}

function titleOf(outcome, counts) {
    const total = current.ports.length;
    const missing = counts.unknown + counts.limited;
    if (outcome.end === "done" && missing === 0)
        return summary(counts, total, current.address);
    const how = outcome.end === "stopped" ? "Stopped" : "Incomplete";
    return `${how}: verdicts for ${(total - missing).toLocaleString("en")} of ${plural(total)}.`;
}

function finish(outcome) {
    cancelAnimationFrame(current.frame);
    clearInterval(current.clock);
    showClock();
    setRunning(false);
    current.last = outcome.end === "done" ? outcome : null;
    for (const port of current.ports) {
        if (!current.verdicts.has(port))
            grid.mark(port, { state: "unknown", error: null });
    }
    draw();

    if (outcome.end === "refused" || (outcome.end !== "stopped" && current.verdicts.size === 0)) {
        $("result").hidden = true;
        $("live").textContent = "";
        showRefusal(outcome, current);
        return;
    }
    $("result-title").textContent = $("live").textContent = titleOf(outcome, countStates());
    showReport($("report"), current);
    $("copy-ports").hidden = portsIn(current, "open").length === 0;
    $("after").hidden = false;
    setPrimary($("copy-ports").hidden ? "again" : "copy-ports");
    if (outcome.end === "lost" || outcome.end === "fault")
        showProblem(problem(outcome, { hasVerdicts: true }), outcome.detail, start);
}

async function start() {
    if (current?.isRunning)
        return;
    const { fault, items, ports } = readPorts();
    hideProblem();
    tellFault("address", null);
    tellFault("ports", fault);
    if (fault) {
        $("ports").focus();
        return;
    }

    const address = $("address").value.trim() || own;
    const check = current = {
        address, items, ports, verdicts: new Map(), fresh: [], began: performance.now(),
        told: performance.now(), frame: 0, abort: new AbortController(),
    };
    $("ports").value = formatItems(items);
    $("address").value = address;
    explainAddress();
    history.replaceState(null, "", asFragment(check, own));
    document.querySelector(".answer")?.remove();
    $("about").hidden = true;
    $("result").hidden = false;
    $("after").hidden = true;
    $("copied").textContent = "";
    $("copy-text").hidden = true;
    $("result-title").textContent = $("live").textContent = `Checking ${plural(ports.length)} of ${address}`;
    grid.reset(ports);
    showPlaces();
    makeLegend();
    setRunning(true);
    showCounts();
    showClock();
    check.clock = setInterval(showClock, 100);
    $("result").scrollIntoView({ block: NARROW.matches ? "start" : "nearest" });
    finish(await runCheck(JSON.parse(asRequest(check)), check.abort.signal, verdicts => onVerdicts(check, verdicts)));
}

// --- copying it -------------------------------------------------------------------------

// The clipboard's interface requires HTTPS; the older command does not.
async function copy(text, what) {
    const area = $("copy-text");
    let ok = false;
    if (navigator.clipboard)
        ok = await navigator.clipboard.writeText(text).then(() => true, () => false);
    if (!ok) {
        const had = document.activeElement;
        area.hidden = false;
        area.value = text;
        area.select();
        ok = document.execCommand("copy");
        if (ok)
            had?.focus({ preventScroll: true });
    }
    area.hidden = ok;
    $("copied").textContent = ok ? `${what} copied.` : "To copy the text, press Ctrl+C, or touch and hold it.";
}

$("form").addEventListener("submit", event => {
    event.preventDefault();
    start();
});
$("stop").addEventListener("click", () => current.abort.abort());
$("again").addEventListener("click", start);
$("ports").addEventListener("input", onTyping);
$("ports").addEventListener("blur", () => tellFault("ports", readPorts().fault));
$("address").addEventListener("input", () => {
    tellFault("address", null);
    if (own)
        explainAddress();
});
$("copy-ports").addEventListener("click", () => copy(asPorts(current), "Port list"));
$("copy-json").addEventListener("click", () => copy(asJson(current), "JSON"));
$("copy-curl").addEventListener("click", () => copy(asCurl(current), "Command"));
$("copy-link").addEventListener("click", () => copy(new URL(asFragment(current, own), location).href, "Link"));
NARROW.addEventListener("change", arrange);
window.addEventListener("hashchange", readFragment);
arrange();
learn();
