// SPDX-License-Identifier: MIT
// Everything that the page says about states and faults.

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

export function summary(counts, total, address) {
    const from = reachOf(address) === "public" ? "from the internet" : "from this checker";
    const open = counts.open;
    if (open === total)
        return total === 1 ? `The port can be reached ${from}.` : `All ${total.toLocaleString("en")} ports can be reached ${from}.`;
    if (open === 0)
        return total === 1 ? `The port cannot be reached ${from}.` : `None of the ${plural(total)} can be reached ${from}.`;
    return `${open.toLocaleString("en")} of ${plural(total)} can be reached ${from}.`;
}

// Where IPv6 is asked about: no router forwards it, so that all is a matter of firewalls.
function remedy6(state, at, ports, these) {
    if (state === "closed")
        return { lead: "The knock arrived at a machine, and that machine refused it.", steps: [
            "Is the program running? Start the provider first, and check again while it runs.",
            "Does it listen on IPv6, too? Some programs listen on IPv4 alone unless they are told.",
            `A firewall that rejects looks the same: allow ${ports} for incoming TCP, in the router and on this computer.`,
        ] };
    return { lead: "Nothing came back. Most often the router lets nothing in over IPv6; a port forward is not needed there.", steps: [
        `In the router, allow incoming TCP ${ports} over IPv6 for ${at}.`,
        `If that is done, allow ${these} in the firewall of this computer.`,
        "Computers use changing IPv6 addresses for going out. Allow, and advertise, the one that stays.",
    ] };
}

// What it means, and what to do about it at home. `at` is the address, `ports` the runs of
// `count` ports.
export function remedy(state, address, ports, count) {
    const at = unmapped(address);
    const these = count === 1 ? "this port" : "these ports";
    if (at.includes(":") && (state === "closed" || state === "filtered"))
        return remedy6(state, at, ports, these);

    switch (state) {
    case "open":
        return { lead: count === 1 ? "It answered. This is the port to advertise." : "They answered. These are the ports to advertise.", steps: [] };
    case "closed":
        return { lead: "The knock arrived at a machine, and that machine refused it.", steps: [
            "Is the program running? Start the provider first, and check again while it runs.",
            `Does the router forward ${ports} to this computer? Compare the address in the forward with the one this computer has now; it may have changed.`,
            `A firewall that rejects looks the same: allow ${these} for incoming TCP.`,
        ] };
    case "filtered":
        return { lead: "Nothing came back. Most often the router has no port forward.", steps: [
            `In the router, forward TCP ${ports} to this computer.`,
            `If that is done, a firewall drops what comes in: allow ${these} in the router and on the computer.`,
            `Look up the internet (WAN) address on the router\u2019s status page. If it is not ${at}, there is another router in front of it: forward there, too. If it begins with 100.64 to 100.127, your internet provider shares one address among customers (carrier-grade NAT): ask for a public one.`,
        ] };
    case "unreachable":
        return { lead: "A router on the way reported that there is no path.", steps: [
            `Is ${at} still your address, and is the machine online?`,
            `Some firewalls answer like this instead of keeping silent: allow ${these} for incoming TCP.`,
        ] };
    default:
        return { lead: `The check ended before ${count === 1 ? "this" : "these"} had a verdict. That says nothing about ${count === 1 ? "it" : "them"}: check again, or ask another checker.`, steps: [] };
    }
}

// A title, a sentence, the label of the way on; what the service said stands below it.
export function problem(outcome, hasVerdicts = false) {
    if (outcome.end === "lost")
        return ["The connection to the checker was lost", `It may be restarting, or your own connection broke. ${
            hasVerdicts ? "What was answered until then stays true; nothing is known about the other ports." : "That says nothing about your ports."}`, "Check again"];
    if (outcome.end === "fault" || outcome.status === 503)
        return ["This checker cannot do it just now", "The trouble is the checker\u2019s own and says nothing about your ports. Try again in a moment, or ask another checker.", "Check again"];
    if (outcome.status === 403)
        return ["This checker does not look at that address for you", "So that nobody can use it to scan strangers, most checkers only look at the address that you call from.", "Use my own address"];
    if (outcome.status === 429 && outcome.retryAfter)
        return ["A short pause, please", "So many ports were checked lately that this checker asks for a pause. Fewer ports may be had sooner.", "Check again"];
    if (outcome.status === 429)
        return ["That is too much at once", "Ask for fewer ports in one check.", "Change the ports"];
    if (outcome.status === 422)
        return ["The checker did not understand that", "Have a look at the address and the ports above.", "Change the ports"];
    return ["That did not work", "The checker gave an answer that this page does not know.", "Check again"];
}
