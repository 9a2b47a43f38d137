// SPDX-License-Identifier: MIT
// Everything that the page says about states and problems. TEXTS, which the build puts
// before this, is words.json: the texts that the page without JavaScript has too.

// In the order in which they are shown.
export const STATES = {
    open: { name: "open", told: "answered" },
    closed: { name: "closed", told: "refused" },
    filtered: { name: "filtered", told: "no answer" },
    unreachable: { name: "unreachable", told: "no path" },
    limited: { name: "limited", told: "no verdict: the address stopped answering" },
    unknown: { name: "no verdict", told: "not known" },
    waiting: { name: "waiting", told: "not known yet" },
};

// Whether this page knows the word in a verdict. A newer checker may have others.
function isKnown(word) {
    return Object.hasOwn(STATES, word) && word !== "waiting";
}

// The state to show for that word: one that is not known is no verdict.
export function shownState(word) {
    return isKnown(word) ? word : "unknown";
}

// Its name, with the word itself where that is not known.
export function nameOf(word) {
    return isKnown(word) ? STATES[word].name : `${STATES.unknown.name} (${word})`;
}

// Why a port is not open: an ICMP error has its own meaning, and its sender tells whose it is.
export function reasonOf({ error = null, icmp }) {
    return icmp ? `${error} (${icmp.meaning}${icmp.from === "target" ? ", from the address itself" : ""})` : error;
}

export function plural(count, word = "port") {
    return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

// "203.0.113.7" for that address inside IPv6, however that is written; other IPv6 addresses
// in their shortest form; anything else as it is.
export function unmapped(address) {
    let plain;
    try {
        plain = new URL(`${location.protocol}//[${address}]`).hostname.slice(1, -1);
    } catch {
        return address;
    }
    const halves = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(plain)?.slice(1);
    return halves?.map(half => parseInt(half, 16)).flatMap(half => [half >> 8, half & 255]).join(".") ?? plain;
}

// Where an address can be reached from, and so what a check of it means. "never": it is not checked
// under any setting. A test holds this against the service (src/policy/access.h).
export function reachOf(address) {
    const v4 = unmapped(address);
    if (/^127\.|^::1$/.test(v4))
        return "loopback";
    if (/^(0|22[4-9]|2[345]\d)\.|^(ff|fe[89ab])[0-9a-f]{0,2}:|^::([0-9a-f]+(:[0-9a-f]+)?)?$/.test(v4))
        return "never";
    if (/^(10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|f[cd][0-9a-f]{2}:)/.test(v4))
        return "private";
    if (/^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(v4))
        return "carrier";
    return "public";
}

export const REACH_NOTES = {
    loopback: "You are on the checker\u2019s own machine: this shows what is open here, not what the internet can reach.",
    private: "You share a network with this checker: it shows what is open inside, not what the internet can reach.",
    never: "Link-local addresses are never checked: open this page at another address of this checker.",
    carrier: "This address belongs to a carrier\u2019s shared network: the internet cannot reach it.",
};

// `{name}` replaced by the value of that name.
function fill(sentence, values) {
    return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function summary({ open }, total, address) {
    const reach = reachOf(address) === "public" ? "public" : "other";
    const which = open === total ? "all" : open === 0 ? "none" : "some";
    const row = TEXTS.headlines.find(one => one.open === which && one.reach === reach);
    return fill((open || total) === 1 ? row.one : row.many, { open: open.toLocaleString("en"), total: total.toLocaleString("en") });
}

// What a state means, and what to do about it at home. `told` are the runs of `count` ports,
// or null where they are too many; `answered` ports had a verdict before the address stopped;
// `command` is {asked, checker}, the arguments of port-verifier for the same check.
export function remedy(state, address, told, count, answered, command) {
    const at = unmapped(address);
    const these = count === 1 ? "this port" : "these ports";
    const s = count === 1 ? "" : "s";
    const when = answered ? `after ${plural(answered)}` : "during the check";
    const values = { address: at, ports: told ? `port${s} ${told}` : these, s, these, word: state, when, ...command };
    const family = at.includes(":") ? 6 : 4;
    const wanted = isKnown(state) ? state : "other";
    const { lead, steps } = TEXTS.remedies.find(row => row.state === wanted && (row.family ?? family) === family);
    return { lead: fill(lead, values), steps: steps.map(step => fill(step, values)) };
}

// The rule that an address broke follows from the address and from what the checker checks
// for this caller.
function refusalOf({ targets, address, own }) {
    if (targets === "any" || address === own && targets === "own" || reachOf(address) === "never")
        return "403_never";
    return targets === "public" ? "403_public" : "403_own";
}

function problemOf(outcome, { hasVerdicts, ...asked }) {
    if (outcome.status === 403 && outcome.code === "target_not_allowed")
        return refusalOf(asked);
    if (outcome.end === "lost")
        return hasVerdicts ? "lost_later" : "lost";
    if (outcome.end === "fault")
        return "503";
    if (outcome.status === 429 && !outcome.retryAfter)
        return "429_for_ever";
    return String(outcome.status);
}

// A title, a sentence, the label of the button. The service's own sentence comes below.
// `context`: {hasVerdicts}, or for a refused address {targets, address, own}.
export function problem(outcome, context = {}) {
    const find = (key, value) => TEXTS.problems.find(row => row[key] === value);
    const row = (outcome.code && find("code", outcome.code)) ?? find("when", problemOf(outcome, context));
    const { title, text, action } = row ?? find("when", "other");
    return [title, text, action];
}
