// SPDX-License-Identifier: MIT
// Everything that the page says about states and faults. TEXTS, which the build puts before
// this, is words.json: the texts that the page without JavaScript has, too.

// In the order in which they are shown.
export const STATES = {
    open: { name: "open", told: "answered" },
    closed: { name: "closed", told: "refused" },
    filtered: { name: "filtered", told: "no answer" },
    unreachable: { name: "unreachable", told: "no path" },
    unknown: { name: "not checked", told: "no verdict" },
    waiting: { name: "waiting", told: "waiting" },
};

export function plural(count, word = "port") {
    return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

// "203.0.113.7" for that address inside IPv6, however that is written; others as they are.
export function unmapped(address) {
    try {
        const { hostname } = new URL(`${location.protocol}//[${address}]`);
        const halves = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(hostname).slice(1);
        return halves.map(half => parseInt(half, 16)).flatMap(half => [half >> 8, half & 255]).join(".");
    } catch {
        return address;
    }
}

// Where an address lives: what a check of it from here can mean.
export function reachOf(address) {
    const v4 = unmapped(address);
    if (/^127\.|^::1$/.test(v4))
        return "loopback";
    if (/^(10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|f[cd][0-9a-f]{2}:|fe[89ab])/i.test(v4))
        return "private";
    if (/^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(v4))
        return "carrier";
    return "public";
}

export const REACH_NOTES = {
    loopback: "You are on the checker\u2019s own machine: this shows what is open here, not what the internet can reach.",
    private: "You share a network with this checker: it shows what is open inside, not what the internet can reach.",
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
    return fill(total === 1 ? row.one : row.many, { open: open.toLocaleString("en"), total: total.toLocaleString("en") });
}

// What it means, and what to do about it at home. `told` are the runs of `count` ports, or
// null where they are too many.
export function remedy(state, address, told, count) {
    const at = unmapped(address);
    const these = count === 1 ? "this port" : "these ports";
    const s = count === 1 ? "" : "s";
    const values = { address: at, ports: told ? `port${s} ${told}` : these, s, these };
    const family = at.includes(":") ? 6 : 4;
    const { lead, steps } = TEXTS.remedies.find(row => row.state === state && (row.family ?? family) === family);
    return { lead: fill(lead, values), steps: steps.map(step => fill(step, values)) };
}

// The rule that an address broke follows from what the checker checks for this caller.
const REFUSALS = { own: "403_own", public: "403_public", any: "403_never" };

function problemOf(outcome, hasVerdicts, targets) {
    if (outcome.status === 403 && outcome.code === "target_not_allowed")
        return REFUSALS[targets];
    if (outcome.end === "lost")
        return hasVerdicts ? "lost_later" : "lost";
    if (outcome.end === "fault")
        return "503";
    if (outcome.status === 429 && !outcome.retryAfter)
        return "429_for_ever";
    return String(outcome.status);
}

// A title, a sentence, the label of the button; what the service said stands below it.
export function problem(outcome, { hasVerdicts = false, targets = null } = {}) {
    const find = when => TEXTS.problems.find(row => row.when === when);
    const { title, text, action } = find(problemOf(outcome, hasVerdicts, targets)) ?? find("other");
    return [title, text, action];
}
