// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";

import { Validator } from "@seriousme/openapi-schema-validator";

import { Cleanups, PHONE, Proxy, Service, Visit, filter, hasFilter, haveAddresses, launch, listen } from "./harness.js";

// web/ has no package.json, so node does not know that its files are modules.
const source = readFileSync(new URL("../../web/ports.js", import.meta.url), "utf8");
const { parsePorts } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

let browser;
const cleanups = new Cleanups();

before(async () => {
    browser = await launch();
});
after(() => browser.close());
afterEach(() => cleanups.run());

async function serve(settings) {
    const service = await Service.start(settings);
    cleanups.add(async () => assert.equal(await service.stop(), 0));
    return service;
}

async function visit(url, options) {
    const made = await Visit.open(browser, url, options);
    cleanups.add(() => made.close());
    await made.page.waitForFunction(() => !document.querySelector("#address") || document.querySelector("#address").value);
    return made;
}

async function listeners(count) {
    const made = await Promise.all(Array.from({ length: count }, () => listen()));
    cleanups.add(() => made.forEach(server => server.close()));
    return made.map(server => server.address().port).sort((a, b) => a - b);
}

async function listenOn(ports) {
    const made = await Promise.all(ports.map(port => listen(port)));
    cleanups.add(() => made.forEach(server => server.close()));
}

function filtered(rules) {
    const made = filter(rules);
    cleanups.add(() => made.close());
}

function counts(states) {
    const found = {};
    for (const [, state] of states)
        found[state] = (found[state] ?? 0) + 1;
    return found;
}

const needsFilter = { skip: !hasFilter() && "needs root, nft and a network of its own" };
// A port that refuses is probed again, and has its verdict after 5 seconds.
const ASKED_AGAIN = { PORT_CHECK_TIMEOUT: "20", PORT_CHECK_RETRIES: "2", PORT_CHECK_RETRY_DELAY: "5" };
const SILENT = "tcp dport { 20000-20009 } drop";
const NO_PATH = "tcp dport { 20010-20012 } reject with icmp type host-unreachable";

test("every cleanup runs, and every error of one is reported", async () => {
    const ran = [];
    const own = new Cleanups();
    own.add(() => ran.push("first"));
    own.add(() => assert.fail("second"));
    own.add(async () => assert.fail("third"));
    own.add(() => ran.push("fourth"));
    await assert.rejects(own.run(), ({ errors }) => errors.map(error => error.message).join() === "third,second");
    assert.deepEqual(ran, ["fourth", "first"]);
    await own.run(); // nothing is left
    own.add(() => assert.fail("alone"));
    await assert.rejects(own.run(), { message: "alone" });
});

// --- opening it -------------------------------------------------------------------------

test("it opens with the caller's address, the usual ports and a note on what that means", async () => {
    const { url } = await serve();
    const { page, ...rest } = await visit(url);

    assert.equal(await page.inputValue("#address"), "127.0.0.1");
    assert.equal(await page.inputValue("#ports"), "7466, 50800-50900");
    assert.match(await page.textContent("#address-hint"), /You can enter another/);
    assert.match(await page.textContent("#reach"), /You are on the checker.s own machine/);
    assert.equal(await page.locator("#about li").count(), 5);
    assert.match(await page.textContent("#ports-hint"), /^102 ports/);
    assert.equal(await page.isVisible("#result"), false);
});

test("the page as it opens is accessible and fits every width", async () => {
    const { url } = await serve();
    for (const [name, options] of [["opened", {}], ["opened-dark", { colorScheme: "dark" }], ["opened-phone", PHONE],
        ["opened-4k", { viewport: { width: 3840, height: 2160 } }]]) {
        const look = await visit(url, options);
        await look.fitsItsWidth();
        await look.shoot(name, false);
        await look.accessible();
    }
});

// 60 kB at first; the fifth state brought its words, and so did places and port-verifier --map.
test("the page is less than 69 kB, and everything comes from the checker", async () => {
    const { url } = await serve();
    const folder = new URL("../../web/", import.meta.url);
    const names = readdirSync(folder).filter(name => !/\.(py|json)$|^(not_found|form)\./.test(name));
    let sum = 0;
    for (const name of names) {
        const path = name === "index.html" ? "/" : `/${name}`;
        const response = await fetch(url + path, { headers: { "Accept-Encoding": "identity" } });
        assert.equal(response.status, 200, path);
        const text = await response.text();
        if (name !== "docs.css") // of the reference only
            sum += Buffer.byteLength(text);
        assert.doesNotMatch(text.replaceAll("http://www.w3.org/2000/svg", ""), /https?:\/\/(?!localhost)/, path);
        const source = readFileSync(new URL(name, folder), "utf8");
        if (name === "words.js") // the build puts the texts before it
            assert.equal(text.slice(text.indexOf("\n") + 1), source, path);
        else if (name !== "index.html")
            assert.equal(text, source, path);
        else
            assert.doesNotMatch(text, /docs\.css/);
    }
    assert.ok(sum < 69000, `${sum} bytes`);
});

test("an IPv6 address is shown as one", async () => {
    const { url } = await serve({ PORT_CHECKER_HOST: "::1" });
    const { page, ...rest } = await visit(url);
    assert.equal(await page.inputValue("#address"), "::1");
});

test("over IPv6 the advice is not to forward ports", needsFilter, async () => {
    filtered([SILENT]);
    const { url } = await serve({ PORT_CHECKER_HOST: "::1", PORT_CHECK_TIMEOUT: "1" });
    const look = await visit(url);
    await look.check("20009-20010");
    await look.title("None of the 2 ports");
    const told = state => look.page.textContent(`.report [data-state="${state}"] > div`);
    assert.match(await told("filtered"), /allow incoming connections over IPv6 to port 20009 \(TCP\) of ::1/);
    assert.match(await told("closed"), /Does it listen on IPv6\?/);
    assert.match(await told("filtered"), /it asks the router to let this port through, and this checker for proof\./);
    assert.equal(await look.page.textContent(".report code"), `port-verifier --map -p 20009-20010 ${url}`);
    assert.doesNotMatch(await look.page.textContent("#report"), /WAN|carrier|forward 2/);
    await look.shoot("ipv6");
});

test("an IPv4-mapped address is treated as IPv4", needsFilter, async () => {
    filtered([SILENT]);
    const { url } = await serve();
    const look = await visit(url);
    for (const address of ["::ffff:127.0.0.1", "0:0:0:0:0:FFFF:7f00:1"]) {
        await look.page.fill("#address", address);
        await look.check("20009-20010");
        await look.title("None of the 2 ports can be reached from this checker");
        const told = await look.page.textContent("#report");
        assert.match(told, /In the router, forward port 20009 \(TCP\) to this computer, with the same port number\./);
        assert.match(told, /status page with 127\.0\.0\.1\. If they differ, there is another router/);
        assert.match(told, /it asks the router to forward this port, and this checker for proof\./);
        assert.doesNotMatch(told, /IPv6/);
    }
});

// --- checks -----------------------------------------------------------------------------

test("all open", async () => {
    const { url } = await serve();
    const ports = await listeners(12);
    const look = await visit(url);
    await look.check(ports.join(", "));
    await look.title("All 12 ports can be reached from this checker, but perhaps not from the internet.");

    assert.deepEqual(await look.states(), ports.map(port => [port, "open"]));
    assert.deepEqual(await look.page.locator(".report h3").allTextContents(), ["open 12"]);
    assert.match(await look.page.textContent("#elapsed"), /^\d+\.\d s$/);
    await look.shoot("all-open");
    await look.accessible();
});

test("the texts for a single port are in the singular", async () => {
    const { url } = await serve();
    const [port] = await listeners(1);
    const look = await visit(url);
    await look.check(String(port));
    await look.title("The port can be reached");
    assert.match(await look.page.textContent("#report"), /The checker could connect\. Advertise this port\./);
    await look.check(`${port}, 40000`);
    await look.title("1 of 2 ports can be reached from this checker, but perhaps not from the internet.");
    await look.check("40000");
    await look.title("The port cannot be reached");
    assert.match(await look.page.textContent("#report"), /allow incoming connections to port 40000 \(TCP\)/);
});

test("the description of a tile covers neither the tile nor the counts", async () => {
    const { url } = await serve();
    await listenOn([0, 1, 3, 4, 6, 7, 9, 11].map(at => 40000 + at));
    for (const [count, options] of [[12, {}], [100, {}], [300, {}], [100, PHONE]]) {
        const look = await visit(url, options);
        await look.check(`40000-${39999 + count}`);
        await look.title("8 of");
        for (const index of [0, 5, await look.page.locator(".tile").count() - 1]) {
            const tile = look.page.locator(".tile").nth(index);
            await tile.focus();
            await tile.hover();
            // At one moment: the page may still be scrolling, which hides the description for a while.
            const found = await look.page.waitForFunction(it => !document.querySelector("#tip").hidden &&
                [document.querySelector("#tip"), document.querySelector("#legend"), it].map(one => one.getBoundingClientRect().toJSON()),
            await tile.elementHandle());
            const [tip, legend, own] = await found.jsonValue();
            assert.ok(tip.y >= legend.y + legend.height, `${count} ports: that of tile ${index} covers the counts`);
            assert.ok(tip.y >= own.y + own.height || tip.y + tip.height <= own.y, `${count} ports: tile ${index} is covered`);
            if (index === 5)
                await look.shoot(`tip-${count}${options === PHONE ? "-phone" : ""}`, false);
        }
        await look.fitsItsWidth();
    }
});

test("open, closed, filtered and unreachable, one by one", needsFilter, async () => {
    filtered([SILENT, NO_PATH]);
    await listenOn([20020, 20021, 20022, 20023, 20024, 20030]);
    const { url } = await serve({ PORT_CHECK_TIMEOUT: "3" });
    const look = await visit(url);
    await look.check("20000-20035");

    // Ports that answer are shown while the silent ones are still waiting; unreachable takes
    // longer. All of this is read at one moment.
    const seen = await look.page.waitForFunction(() => {
        const count = state => document.querySelectorAll(`.tile[data-state="${state}"]`).length;
        const text = id => document.querySelector(id).textContent;
        return count("open") === 6 && {
            waiting: count("waiting"), progress: text("#progress"), canStop: document.querySelector("#stop").checkVisibility(),
        };
    });
    const { waiting, progress, canStop } = await seen.jsonValue();
    assert.ok(waiting >= 10, `${waiting} are waiting`);
    assert.match(progress, /^\d+ of 36$/);
    assert.equal(canStop, true);

    await look.title("6 of 36 ports can be reached from this checker");
    assert.deepEqual(counts(await look.states()), { open: 6, closed: 17, filtered: 10, unreachable: 3 });
    assert.deepEqual(await look.page.locator(".report h3").allTextContents(), [
        "open 6", "closed 17", "filtered 10", "unreachable 3"]);
    assert.match(await look.page.textContent('.report [data-state="filtered"] ul'), /forward ports 20000\u201320009 \(TCP\) to this computer, with the same port numbers\./);
    assert.deepEqual(await look.page.locator(".report .runs").allTextContents(), [
        "20020\u201320024, 20030", "20013\u201320019, 20025\u201320029, 20031\u201320035", "20000\u201320009", "20010\u201320012"]);
    assert.match(await look.page.textContent("#live"), /^6 of 36 ports/);
    await look.page.hover('.tile:text-is("20013")');
    assert.match(await look.page.textContent("#tip"), /^20013: closed, Connection refused, (under )?[\d.]+ ms$/);
    await look.shoot("mixed");
    await look.accessible();
});

test("the same in the dark, and on a phone", needsFilter, async () => {
    filtered([SILENT, NO_PATH]);
    await listenOn([20020, 20021, 20022]);
    const { url } = await serve();
    for (const [name, options] of [["mixed-dark", { colorScheme: "dark" }], ["mixed-phone", PHONE],
        ["mixed-phone-dark", { ...PHONE, colorScheme: "dark" }]]) {
        const look = await visit(url, options);
        await look.check("20000-20025");
        await look.title("3 of 26 ports");
        await look.fitsItsWidth();
        if (options.hasTouch) {
            await look.page.tap('.tile:text-is("20020\u201320022")');
            assert.equal(await look.page.textContent("#tip"), "20020\u201320022: 3 ports, open");
            const [report, grid] = await Promise.all(["#report", "#grid"].map(id => look.page.locator(id).boundingBox()));
            assert.ok(report.y + report.height <= grid.y, "the advice comes before the field of ports");
        } else {
            await look.page.hover('.tile:text-is("20021")');
            assert.match(await look.page.textContent("#tip"), /^20021: open, (under )?[\d.]+ ms$/);
        }
        assert.equal(await look.page.isVisible("#tip"), true);
        await look.shoot(name);
        await look.accessible();
    }
});

test("states differ in shape too", needsFilter, async () => {
    filtered([SILENT, NO_PATH]);
    await listenOn([20020]);
    const { url } = await serve();
    const { page, ...rest } = await visit(url);
    await page.fill("#ports", "20009-20013, 20020");
    await page.click("#start");
    await page.waitForSelector("#after:not([hidden])");
    const shapes = await page.$$eval(".tile", tiles => Object.fromEntries(tiles.map(tile => {
        const { clipPath, borderRadius } = getComputedStyle(tile, "::before");
        return [tile.dataset.state, `${clipPath} ${borderRadius}`];
    })));
    assert.equal(Object.keys(shapes).length, 4);
    assert.equal(new Set(Object.values(shapes)).size, 4);
});

test("1,024 ports do not block the page", async () => {
    const ports = Array.from({ length: 64 }, (_, i) => 30000 + i * 16);
    await listenOn(ports);
    const { url } = await serve();
    const look = await visit(url);
    await look.page.evaluate(() => {
        globalThis.longest = globalThis.changes = 0;
        new MutationObserver(list => {
            globalThis.changes += list.length;
        }).observe(document.querySelector("#grid"), { attributes: true, subtree: true });
        new PerformanceObserver(list => {
            for (const { duration } of list.getEntries())
                globalThis.longest = Math.max(globalThis.longest, duration);
        }).observe({ entryTypes: ["longtask"] });
    });
    await look.check("30000-31023");
    await look.title("64 of 1,024 ports");
    assert.deepEqual(counts(await look.states()), { open: 64, closed: 960 });
    assert.equal(await look.page.locator(".tile").count(), 2 * 64);
    // The duration depends on the machine, but even beside a second browser no frame may take
    // this long.
    const [longest, changes] = await look.page.evaluate(() => [globalThis.longest, globalThis.changes]);
    console.log(`the longest task took ${longest} ms`);
    assert.ok(longest < 1000, `${longest} ms without a frame`);
    console.log(`${changes} changes of tiles`);
    await look.shoot("1024");
    await look.accessible();
});

test("1,024 ports on a phone", async () => {
    const { url } = await serve();
    const look = await visit(url, PHONE);
    await look.check("30000-31023");
    await look.title("None of the 1,024 ports");
    await look.fitsItsWidth();
    const { width, height } = await look.page.locator(".tile").first().boundingBox();
    assert.ok(width >= 24 && height >= 24, `${width} x ${height}`);
    assert.equal(await look.page.locator(".tile").count(), 1);
    await look.shoot("1024-phone", false);
});

// What a newer checker might send.
const LATER = [
    { port: 20, accessible: true, error: null, state: "open", rtt_ms: 0.4 },
    { port: 21, accessible: false, error: "Connection timed out", state: "postponed", rtt_ms: null },
    { port: 22, accessible: false, error: "Connection timed out", state: "postponed", rtt_ms: null },
    { port: 23, accessible: false, error: null, state: "constructor", rtt_ms: null },
    { port: 24, accessible: false, error: null },
    { port: 25, accessible: false, error: null, state: "waiting" },
    { success: true, message: "Successfully verified 1 out of 6 ports" },
];

test("a state that the page does not know is no verdict, and its word is shown", async () => {
    const { url } = await serve();
    for (const [name, options] of [["unknown-state", {}], ["unknown-state-phone", { ...PHONE, viewport: { width: 360, height: 740 } }]]) {
        const look = await visit(url, options);
        await look.page.route("**/check-ports", route => route.fulfill({
            contentType: "application/x-ndjson", body: LATER.map(line => `${JSON.stringify(line)}\n`).join(""),
        }));
        await look.check("20-25");
        await look.title("Incomplete: verdicts for 1 of 6 ports.");
        assert.deepEqual(counts(await look.states()), { open: 1, unknown: 5 });
        assert.equal(await look.page.textContent('#legend [data-state="unknown"]:not(span)'), "5 no verdict");
        assert.deepEqual(await look.page.locator(".report h3").allTextContents(), [
            "open 1", "no verdict 1", "no verdict (waiting) 1", "no verdict (postponed) 2", "no verdict (constructor) 1"]);
        assert.match(await look.page.locator(".report section").nth(3).textContent(), /The checker reports \u201cpostponed\u201d, a state that this page does not know/);
        const label = port => look.page.getAttribute(`.tile[data-port="${port}"]`, "aria-label");
        assert.equal(await label(21), options.isMobile
            ? "21\u201322: 2 ports, no verdict (postponed), Connection timed out" : "21: no verdict (postponed), Connection timed out");
        assert.equal(await label(24), "24: no verdict");
        await look.fitsItsWidth();
        await look.shoot(name);
        await look.accessible();
    }
});

const NO_ICMP = { rtt_ms: null, icmp: null };
const STOPPED = [
    { port: 30, accessible: true, error: null, state: "open", rtt_ms: 0.4, icmp: null },
    { port: 31, accessible: false, error: "Connection refused", state: "closed", rtt_ms: 0.4, icmp: null },
    { port: 32, accessible: false, error: "Connection timed out", state: "filtered", ...NO_ICMP },
    { port: 33, accessible: false, error: "No route to host", state: "unreachable", rtt_ms: null,
        icmp: { type: 3, code: 10, meaning: "host administratively prohibited", from: "target" } },
    { port: 34, accessible: false, error: "No route to host", state: "unreachable", rtt_ms: null,
        icmp: { type: 3, code: 1, meaning: "host unreachable", from: "path" } },
    { port: 35, accessible: false, error: "Connection timed out", state: "limited", ...NO_ICMP },
    { port: 36, accessible: false, error: "Connection refused", state: "limited", ...NO_ICMP },
    { success: true, message: "Successfully verified 1 out of 7 ports", limit: { answered: 4, rate: 0.0 } },
];

async function checkStopped(look, lines = STOPPED) {
    await look.page.route("**/check-ports", route => route.fulfill({
        contentType: "application/x-ndjson", body: lines.map(line => `${JSON.stringify(line)}\n`).join(""),
    }));
    await look.check("30-36");
}

test("an address that stopped answering has no verdict, and nobody is blamed", async () => {
    const { url } = await serve();
    for (const [name, options] of [["limited", {}], ["limited-dark", { colorScheme: "dark" }],
        ["limited-phone", { ...PHONE, viewport: { width: 360, height: 740 } }]]) {
        const look = await visit(url, options);
        await checkStopped(look);
        await look.title("Incomplete: verdicts for 5 of 7 ports.");
        assert.deepEqual(counts(await look.states()), { open: 1, closed: 1, filtered: 1, unreachable: 2, limited: 2 });
        assert.deepEqual(await look.page.locator(".report h3").allTextContents(), [
            "open 1", "closed 1", "filtered 1", "unreachable 2", "limited 2"]);
        assert.equal(await look.page.textContent('#legend [data-state="limited"]:not(span)'), "2 limited");
        const told = await look.page.textContent('.report [data-state="limited"]');
        assert.match(told, /35\u201336The address stopped answering after 4 ports: a rate limit.* says nothing about these ports\./);
        assert.match(told, /Allow this checker in the scan or DoS protection/);
        await look.fitsItsWidth();
        await look.shoot(name);
        await look.accessible();
    }
    const look = await visit(url, { permissions: ["clipboard-read", "clipboard-write"] });
    await checkStopped(look, [...STOPPED.slice(0, -1), { success: true, message: "x", limit: { answered: 0, rate: 9.4 } }]);
    await look.title("Incomplete");
    assert.match(await look.page.textContent('.report [data-state="limited"]'), /stopped answering during the check:/);
    await look.page.click("#copy-json");
    await look.page.locator("#copied", { hasText: "copied." }).waitFor();
    const json = JSON.parse(await look.page.evaluate(() => navigator.clipboard.readText()));
    assert.deepEqual(json.limit, { answered: 0, rate: 9.4 });
    assert.equal(json.results[35].state, "limited");
});

// --- places -----------------------------------------------------------------------------

const AT = {
    open: { state: "open", rtt_ms: 12.34 },
    near: { state: "open", rtt_ms: 0.4 },
    closed: { state: "closed", rtt_ms: 80.2, error: "Connection refused" },
    filtered: { state: "filtered", rtt_ms: null, error: "Connection timed out" },
    limited: { state: "limited", rtt_ms: null, error: "Connection timed out" },
    gone: { state: "missing", reason: "no_answer" },
    broke: { state: "missing", reason: "refused: budget" },
    later: { state: "postponed" },
};
const OPEN = { accessible: true, error: null, state: "open", rtt_ms: 0.4, icmp: null };
const SHUT = { accessible: false, error: "Connection timed out", state: "filtered", ...NO_ICMP };
const VAGUE = { accessible: false, error: "Connection timed out", state: "limited", ...NO_ICMP };

// One line for each port from 40 on: what the checker says, then what eu-1, us-1 and ap-1 say.
function placed(...rows) {
    const names = ["eu-1", "us-1", "ap-1"];
    const lines = rows.map(([verdict, ...words], i) => ({
        port: 40 + i, ...verdict, vantages: Object.fromEntries(words.map((word, j) => [names[j], AT[word]])),
    }));
    return [...lines, { success: true, message: "x", quorum: { needed: 2, places: 3 } }];
}

const PLACED = placed(
    [OPEN, "near", "open", "open"], [OPEN, "near", "open", "open"], [OPEN, "open", "filtered", "near"], [OPEN, "open", "filtered", "open"],
    [SHUT, "open", "filtered", "closed"], [SHUT, "filtered", "filtered", "filtered"]);

async function checkPlaced(look, lines) {
    await look.page.route("**/check-ports", route => route.fulfill({
        contentType: "application/x-ndjson", body: lines.map(line => `${JSON.stringify(line)}\n`).join(""),
    }));
    await look.check(`40-${38 + lines.length}`);
}

function dotsOf(look, port) {
    return look.page.$$eval(`.tile[data-port="${port}"] .dots i`, dots => dots.map(({ dataset }) => dataset.state ?? null));
}

function labelOf(look, port) {
    return look.page.getAttribute(`.tile[data-port="${port}"]`, "aria-label");
}

test("each port has a dot for each place, and the places are named", async () => {
    const { url } = await serve();
    for (const [name, options] of [["places", {}], ["places-dark", { colorScheme: "dark" }],
        ["places-phone", { ...PHONE, viewport: { width: 360, height: 740 } }]]) {
        const look = await visit(url, options);
        await checkPlaced(look, PLACED);
        await look.title("4 of 6 ports");
        assert.equal(await look.page.textContent("#places"),
            "Dots, in this order: eu-1, us-1, ap-1. A port is open if 2 of 3 places reach it.");
        assert.deepEqual(await dotsOf(look, 40), ["open", "open", "open"]);
        assert.deepEqual(await dotsOf(look, 42), ["open", "filtered", "open"]);
        assert.deepEqual(await dotsOf(look, 44), ["open", "filtered", "closed"]);
        assert.equal(await labelOf(look, 44),
            "44: filtered, Connection timed out, reached from 1 of 3 places: eu-1 open 12 ms, us-1 filtered, ap-1 closed 80 ms");
        if (options.isMobile) // ports with the same places share a tile, whatever the times
            assert.equal(await labelOf(look, 42), "42\u201343: 2 ports, open, reached from 2 of 3 places: eu-1 open, us-1 filtered, ap-1 open");
        else
            assert.equal(await labelOf(look, 42), "42: open, 0.4 ms, reached from 2 of 3 places: eu-1 open 12 ms, us-1 filtered, ap-1 open 0.4 ms");
        const shapes = await look.page.$$eval('.tile[data-port="44"] .dots i', dots => dots.map(dot => getComputedStyle(dot).clipPath));
        assert.equal(shapes[0], "none"); // a disc, although the tile is filtered
        assert.equal(new Set(shapes).size, 3);
        const tile = look.page.locator('.tile[data-port="44"]');
        await tile.focus();
        assert.equal(await look.page.textContent("#tip"), await labelOf(look, 44));
        assert.equal(await look.page.locator(".tile").count(), options.isMobile ? 4 : 6);
        await look.fitsItsWidth();
        await look.shoot(name);
        await look.accessible();
    }
});

test("one line says which places reach a port and which do not", async () => {
    const { url } = await serve();
    const look = await visit(url);
    await checkPlaced(look, PLACED);
    await look.title("4 of 6 ports");
    assert.deepEqual(await look.page.locator(".report h3").allTextContents(), [
        "open 4", "filtered 1", "mixed 2", "mixed 1"]);
    assert.deepEqual(await look.page.locator('.report [data-state="differ"] .runs').allTextContents(), ["42\u201343", "44"]);
    assert.deepEqual(await look.page.locator('.report [data-state="differ"] .runs + p').allTextContents(), [
        "Reachable from eu-1 and ap-1, but not from us-1: a geographic filter or a routing problem.",
        "Reachable from eu-1, but not from us-1 and ap-1: a geographic filter or a routing problem."]);
    assert.match(await look.page.locator('.report [data-state="differ"]').nth(1).textContent(),
        /a country filter.*allow port 44 \(TCP\) from everywhere\..*the route from us-1 and ap-1 is broken/);
    // that a router forwards nothing is no advice for a port that one place reaches
    assert.match(await look.page.textContent('.report [data-state="filtered"]'), /^filtered 145/);
});

test("places that are missing are named with the reason, and blame nothing", async () => {
    const { url } = await serve();
    const look = await visit(url);
    await checkPlaced(look, placed([OPEN, "near", "gone", "open"], [VAGUE, "near", "gone", "broke"], [VAGUE, "limited", "gone", "open"],
        [SHUT, "filtered", "gone", "filtered"], [OPEN, "near", "gone", "later"]));
    await look.title("Incomplete: verdicts for 3 of 5 ports.");
    assert.equal(await look.page.textContent("#places"),
        "Dots, in this order: eu-1, us-1 missing (no answer), ap-1. A port is open if 2 of 3 places reach it.");
    assert.deepEqual(await dotsOf(look, 41), ["open", "missing", "missing"]);
    assert.deepEqual(await dotsOf(look, 44), ["open", "missing", "unknown"]);
    assert.match(await labelOf(look, 41), /reached from 1 of 3 places: eu-1 open 0\.4 ms, us-1 missing \(no answer\), ap-1 missing \(refused: budget\)$/);
    assert.match(await labelOf(look, 44), /ap-1 no verdict \(postponed\)$/);
    assert.deepEqual(await look.page.locator(".report h3").allTextContents(), ["open 2", "filtered 1", "limited 1", "places missing 1"]);
    assert.match(await look.page.textContent('.report [data-state="undecided"]'), /too few others reached this port, so there is no verdict\./);
    await look.shoot("places-missing");
    await look.accessible();
});

test("without places nothing is said about them", async () => {
    const { url } = await serve();
    const look = await visit(url);
    await checkPlaced(look, PLACED);
    await look.title("4 of 6 ports");
    await look.page.unroute("**/check-ports");
    await checkPlaced(look, [{ port: 40, ...OPEN }, { port: 41, ...SHUT }, { success: true, message: "x" }]);
    await look.title("1 of 2 ports");
    assert.equal(await look.page.isVisible("#places"), false);
    assert.equal(await look.page.locator(".dots").count(), 0);
    assert.equal(await labelOf(look, 40), "40: open, 0.4 ms");
});

test("sixteen places fit everywhere, and a place that comes later has a dot of its own", async () => {
    const { url } = await serve();
    const many = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`a-place-with-a-long-name-${i}`, i % 3 ? AT.open : AT.filtered]));
    for (const [name, options] of [["places-16", {}], ["places-16-phone", PHONE]]) {
        const look = await visit(url, options);
        await checkPlaced(look, [{ port: 40, ...OPEN, vantages: { first: AT.open } }, { port: 41, ...OPEN, vantages: many },
            { success: true, message: "x", quorum: { needed: 1, places: 16 } }]);
        await look.title("All 2 ports");
        assert.match(await look.page.textContent("#places"), /-14, a-place-with-a-long-name-15\. A port is open if 1 of 16 places reaches it\.$/);
        assert.deepEqual((await dotsOf(look, 41)).slice(0, 3), [null, "filtered", "open"]);
        await look.page.locator('.tile[data-port="41"]').focus();
        await look.fitsItsWidth();
        await look.shoot(name);
        await look.accessible();
    }
});

test("a copied answer has the places and their quorum", async () => {
    const { url } = await serve();
    const look = await visit(url, { permissions: ["clipboard-read", "clipboard-write"] });
    await checkPlaced(look, PLACED);
    await look.title("4 of 6 ports");
    await look.page.click("#copy-json");
    await look.page.locator("#copied", { hasText: "copied." }).waitFor();
    const json = JSON.parse(await look.page.evaluate(() => navigator.clipboard.readText()));
    assert.deepEqual(json.quorum, { needed: 2, places: 3 });
    assert.deepEqual(json.results[44].vantages, { "eu-1": AT.open, "us-1": AT.filtered, "ap-1": AT.closed });
});

test("an ICMP error says what it means and who sent it", async () => {
    const { url } = await serve();
    const look = await visit(url);
    await checkStopped(look);
    await look.title("Incomplete: verdicts for 5 of 7 ports.");
    const label = port => look.page.getAttribute(`.tile[data-port="${port}"]`, "aria-label");
    assert.equal(await label(33), "33: unreachable, No route to host (host administratively prohibited, from the address itself)");
    assert.equal(await label(34), "34: unreachable, No route to host (host unreachable)");
    assert.equal(await label(35), "35: limited, Connection timed out");
});

test("every state has a shape of its own", async () => {
    const { url } = await serve();
    const look = await visit(url);
    await checkStopped(look, STOPPED.slice(1)); // port 30 has no verdict
    await look.title("Incomplete: verdicts for 4 of 7 ports.");
    const shapes = await look.page.$$eval(".glyph", glyphs => Object.fromEntries(glyphs.map(glyph => {
        const { clipPath, borderRadius, borderWidth } = getComputedStyle(glyph);
        return [glyph.dataset.state, `${clipPath} ${borderRadius} ${borderWidth}`];
    })));
    assert.deepEqual(Object.keys(shapes).sort(), ["closed", "filtered", "limited", "open", "unknown", "unreachable", "waiting"]);
    assert.equal(new Set(Object.values(shapes)).size, 7);
});

test("stop", async () => {
    const [port] = await listeners(1);
    const service = await serve(ASKED_AGAIN);
    const look = await visit(service.url);
    await look.check(`9-18, ${port}`);
    await look.page.waitForSelector('.tile[data-state="open"]');
    await look.page.click("#stop");

    await look.title("Stopped: verdicts for 1 of 11 ports.");
    assert.deepEqual(counts(await look.states()), { unknown: 10, open: 1 });
    await service.said(/event=check .*reason=client_left/);
    await look.shoot("stopped");
    await look.accessible();
});

// --- refusals ---------------------------------------------------------------------------

test("faults are shown while typing, in the words of the service", async () => {
    const { url } = await serve({ PORT_CHECKER_MAX_PORTS: "100" });
    const texts = ["0", "65536", "1, 0", "-1", "+80", "80a", "http", "0x50", "80.5", "9-5", "0-5", "5-65536", "5-", "5-6-7",
        "123456-7", "1--2", "1-100, 200", "5000-6000", "1-65535", "99999", "00070000"];
    for (const text of texts) {
        const { fault } = parsePorts(text, 100);
        const items = text.split(/, */).map(word => (/^\d+$/.test(word) ? Number(word) : word));
        const reply = await fetch(`${url}/check-ports`, {
            method: "POST", headers: { "Content-Type": "application/json" },
            body: JSON.stringify({ provider_ip: "127.0.0.1", ports: items }),
        });
        assert.equal(reply.status, 422, text);
        const told = (await reply.json()).detail[0].msg;
        assert.equal(fault?.replace(/^\u201c.*?\u201d: /, ""), told, text);
    }
    for (const text of ["1", "65535", "1-100", "5 - 9", "007", "80 81\t82", "50800\u201350900".replace("50900", "50801"), "1,,2,"])
        assert.equal(parsePorts(text, 100).fault, undefined, text);

    const look = await visit(url);
    await look.page.fill("#ports", "7466, 70000");
    await look.page.locator("#ports-error", { hasText: /^Invalid port number: 70000$/ }).waitFor();
    assert.equal(await look.page.getAttribute("#ports", "aria-invalid"), "true");
    await look.page.click("#start");
    assert.equal(await look.page.isVisible("#result"), false);
    assert.equal(await look.page.evaluate(() => document.activeElement.id), "ports");
    await look.shoot("typing-fault", false);
    await look.accessible();
    await look.page.fill("#ports", "7466");
    await look.page.locator("#ports-hint", { hasText: /^1 port\. / }).waitFor();
    assert.equal(await look.page.isVisible("#ports-error"), false);
});

test("a checker that only checks own addresses says so at the address", async () => {
    const { url } = await serve({ PORT_CHECKER_TARGETS: "caller" });
    const look = await visit(url);
    assert.equal(await look.page.getAttribute("#address", "readonly"), "");
    assert.match(await look.page.textContent("#address-hint"), /only checks the address you connect from/);
    await look.shoot("own-address", false);
});

test("a refused address: why, and what to do", async () => {
    const { url } = await serve({ PORT_CHECKER_TARGETS: "any" });
    const [port] = await listeners(1);
    const look = await visit(url);
    await look.page.fill("#address", "224.0.0.1");
    await look.check(String(port));
    await look.page.locator("#problem-title", { hasText: "This address cannot be checked" }).waitFor();
    assert.match(await look.page.textContent("#problem-detail"), /127\.0\.0\.1 may not have 224\.0\.0\.1 checked/);
    assert.equal(await look.page.isVisible("#result"), false);
    look.forgive(/status of 403/);
    await look.shoot("refused", false);
    await look.accessible();

    await look.page.click('#problem-action:text-is("Use my own address")');
    await look.title("The port can be reached");
    assert.equal(await look.page.isVisible("#problem"), false);
});

test("only the operator sees the sentence about settings", needsFilter, async () => {
    const own = haveAddresses("203.0.113.7");
    cleanups.add(() => own.close());
    const { url } = await serve({ PORT_CHECKER_HOST: "203.0.113.7", PORT_CHECKER_TARGETS: "public" });
    const look = await visit(url);
    await look.check("80");
    await look.page.locator("#problem-title", { hasText: "only checks public addresses" }).waitFor();
    assert.equal(await look.page.isVisible("#problem-detail"), false);
    assert.equal(await look.page.textContent("#problem-action"), "Change the address");
    look.forgive(/status of 403/);
    await look.shoot("refused-public", false);

    const plain = await Visit.open(browser, url, { javaScriptEnabled: false });
    cleanups.add(() => plain.close());
    await plain.page.fill("#ports", "80");
    await plain.page.click("#start");
    assert.equal(await plain.page.textContent("#answer-title"), "This checker only checks public addresses");
    assert.doesNotMatch(await plain.page.textContent(".answer"), /PORT_CHECKER_TARGETS/);
    plain.forgive(/status of 403/);
    await plain.shoot("plain-refused", false);
});

test("with and without JavaScript a refusal has the words that fit its reason", async () => {
    const own = "127.0.0.1";
    const never = ["0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::5", "::203.0.113.7",
        "ff02::1", "ff0e:0:0::9", "fe80::1", "febf::1", "::ffff:224.0.0.1", "::ffff:0:0"];
    const special = ["10.0.0.1", "192.168.1.1", "100.64.0.1", "203.0.113.7", "127.0.0.2", "::1", "fd00::1", "fec0::1", "::ffff:10.0.0.1",
        "1::", "2001:db8::1"];
    const titles = {
        never: "This address cannot be checked",
        public: "This checker only checks public addresses",
        own: "This checker only checks your own address",
    };
    for (const [targets, addresses] of [["any", { never }], ["public", { never, public: [...special, own] }], ["caller", { never, own: special }]]) {
        const { url } = await serve({ PORT_CHECKER_TARGETS: targets });
        const { page } = await visit(url);
        for (const [reason, address] of Object.entries(addresses).flatMap(([name, list]) => list.map(one => [name, one]))) {
            const plain = await fetch(url, { method: "POST", body: new URLSearchParams({ provider_ip: address, ports: "80" }) });
            assert.equal(plain.status, 403, address);
            assert.match(await plain.text(), new RegExp(`<h2 id="answer-title">${titles[reason]}</h2>`), `${address} under ${targets}`);
            const [title] = await page.evaluate(async asked => {
                const { problem } = await import("./words.js");
                return problem({ end: "refused", status: 403, code: "target_not_allowed" }, asked);
            }, { targets: targets === "caller" ? "own" : targets, address, own });
            assert.equal(title, titles[reason], `${address} under ${targets}`);
        }
    }
});

test("a refused address that no setting allows, where public ones are checked", async () => {
    const { url } = await serve({ PORT_CHECKER_TARGETS: "public" });
    const look = await visit(url, { colorScheme: "dark" });
    await look.page.fill("#address", "ff02::1");
    assert.equal(await look.page.textContent("#address-hint"), "Yours is 127.0.0.1.");
    await look.check("80");
    await look.page.locator("#problem-title", { hasText: "This address cannot be checked" }).waitFor();
    look.forgive(/status of 403/);
    await look.shoot("refused-never-dark", false);
    await look.accessible();
});

test("a proxy that hides the caller is named as the cause", async () => {
    const { url } = await serve({ PORT_CHECKER_TRUSTED_PROXIES: "127.0.0.1" });
    const look = await Visit.open(browser, url, { extraHTTPHeaders: { "X-Forwarded-For": "unknown" } });
    cleanups.add(() => look.close());
    await look.page.locator("#answer-title", { hasText: "cannot determine your address" }).waitFor();
    assert.match(await look.page.textContent(".answer"), /PORT_CHECKER_TRUSTED_PROXIES.*http:\/\/localhost/);
    assert.equal(await look.page.locator("form, script").count(), 0);
    await look.shoot("no-caller", false);
    await look.accessible();
});

test("a host name is not an address", async () => {
    const { url } = await serve();
    const look = await visit(url);
    await look.page.fill("#address", "checker.example");
    await look.check("80");
    await look.page.locator("#address-error", { hasText: "value is not a valid IPv4 or IPv6 address" }).waitFor();
    assert.equal(await look.page.evaluate(() => document.activeElement.id), "address");
    assert.equal(await look.page.textContent("#problem-action"), "Change the address");
    look.forgive(/status of 422/);
});

test("a rate limit counts down, and then the check can start", async () => {
    const { url } = await serve({ PORT_CHECKER_RATE: "120/min", PORT_CHECKER_MAX_PORTS: "16" });
    const look = await visit(url);
    await look.check("40000-40015");
    await look.title("None of the 16 ports");
    await look.page.click("#again");
    await look.page.locator("#problem-title", { hasText: "Rate limit reached" }).waitFor();
    const action = look.page.locator("#problem-action");
    assert.match(await action.textContent(), /^Check again in \d s$/);
    assert.equal(await action.isDisabled(), true);
    look.forgive(/status of 429/);
    await look.shoot("rate-limit", false);
    await look.accessible();

    await look.page.locator("#problem-action:not([disabled])").click();
    await look.title("None of the 16 ports");
});

test("the page says that the checker is shutting down", async () => {
    const service = await serve({ ...ASKED_AGAIN, PORT_CHECKER_WORKERS: "1" });
    const [first, second] = [await visit(service.url), await visit(service.url)];
    await first.check("9-18");
    await first.page.waitForSelector("#stop:not([hidden])");
    await service.said(/event=ready/);
    await first.page.waitForFunction(() => parseFloat(document.querySelector("#elapsed").textContent) > 0.3);
    service.child.kill("SIGTERM");
    await service.said(/event=draining/);
    await second.check("9");
    await second.page.locator("#problem-title", { hasText: "cannot check right now" }).waitFor();
    assert.match(await second.page.textContent("#problem-text"), /says nothing about your ports/);
    assert.match(await second.page.textContent("#problem-action"), /^Check again in \d s$/);
    second.forgive(/status of 503/);
    await second.shoot("shutting-down", false);
    await first.title("None of the 10 ports");
});

test("a checker that dies during a check leaves the verdicts so far", async () => {
    const ports = await listeners(2);
    const service = await Service.start(ASKED_AGAIN);
    const look = await visit(service.url);
    await look.check(`9-18, ${ports.join(", ")}`);
    await look.page.waitForFunction(() => document.querySelectorAll('.tile[data-state="open"]').length === 2);
    process.kill(service.pid, "SIGSTOP"); // so that nothing changes during the screenshot
    await look.shoot("running");
    await look.accessible();
    service.child.kill("SIGKILL");
    assert.equal(await service.stop(), "SIGKILL");

    await look.page.locator("#problem-title", { hasText: "connection to the checker was lost" }).waitFor();
    await look.title("Incomplete: verdicts for 2 of 12 ports.");
    assert.deepEqual(counts(await look.states()), { unknown: 10, open: 2 });
    look.forgive(/ERR_(INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)/);
    await look.shoot("lost");
    await look.accessible();

    await serve({ PORT_CHECKER_PORT: String(service.port) });
    await look.page.click("#problem-action");
    await look.title("2 of 12 ports can be reached");
});

test("offline", async () => {
    const { url } = await serve();
    const look = await visit(url, { ...PHONE, viewport: { width: 360, height: 740 }, colorScheme: "dark" });
    await look.context.setOffline(true);
    await look.check("80");
    await look.page.locator("#problem-title", { hasText: "connection to the checker was lost" }).waitFor();
    assert.match(await look.page.textContent("#problem-text"), /This says nothing about your ports/);
    assert.equal(await look.page.evaluate(() => document.activeElement.id), "problem-title");
    look.forgive(/ERR_INTERNET_DISCONNECTED/);
    await look.fitsItsWidth();
    await look.shoot("offline-phone-dark");
    await look.accessible();
    await look.context.setOffline(false);
    await look.page.click("#problem-action");
    await look.title("The port cannot be reached");
});

// --- keyboard and motion ---------------------------------------------------------------------

test("by keyboard alone", needsFilter, async () => {
    filtered([SILENT]);
    await listenOn([20020, 20021]);
    const { url } = await serve({ PORT_CHECK_TIMEOUT: "1" });
    const look = await visit(url);
    const focused = () => look.page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
    const press = async (...keys) => {
        for (const key of keys)
            await look.page.keyboard.press(key);
    };

    await press("Tab");
    assert.equal(await focused(), "Skip to the check");
    await press("Enter", "Tab", "Tab");
    assert.equal(await focused(), "ports");
    await press("Control+A");
    await look.page.keyboard.type("20009, 20015-20021");
    await press("Enter");
    await look.page.waitForSelector("#stop:not([hidden])");
    await look.title("2 of 8 ports");
    await press("Tab");
    assert.equal(await focused(), "start");
    await press("Tab");
    assert.equal(await focused(), "20009");
    assert.match(await look.page.textContent("#tip"), /^20009: filtered, Connection timed out$/);
    await look.shoot("keyboard");
    await press("ArrowRight", "ArrowRight");
    assert.equal(await focused(), "20016");
    await press("End");
    assert.equal(await focused(), "20021");
    await press("ArrowRight");
    assert.equal(await focused(), "20021");
    await press("Escape");
    assert.equal(await look.page.isVisible("#tip"), false);
    await press("Home");
    assert.equal(await focused(), "20009");
    await press("Tab");
    assert.equal(await focused(), "copy-ports");
    await press("Shift+Tab");
    assert.equal(await focused(), "20009");
});

test("stopping by keyboard keeps the focus", needsFilter, async () => {
    filtered([SILENT]);
    const { url } = await serve({ PORT_CHECK_TIMEOUT: "20" });
    const look = await visit(url);
    await look.page.fill("#ports", "20000-20009");
    await look.page.focus("#start");
    await look.page.keyboard.press("Enter");
    await look.page.waitForFunction(() => document.activeElement.id === "stop");
    await look.page.keyboard.press("Enter");
    await look.title("Stopped");
    assert.equal(await look.page.evaluate(() => document.activeElement.id), "start");
});

test("nothing moves with reduced motion", needsFilter, async () => {
    filtered([SILENT]);
    const { url } = await serve({ PORT_CHECK_TIMEOUT: "20" });
    for (const [reducedMotion, wanted] of [["reduce", false], ["no-preference", true]]) {
        const look = await visit(url, { reducedMotion });
        await look.check("20000-20009");
        await look.page.waitForSelector('.tile[data-state="waiting"]');
        assert.equal(await look.page.evaluate(() => document.getAnimations().length > 0), wanted, reducedMotion);
        await look.page.click("#stop");
        await look.title("Stopped");
    }
});

// --- copying the result ---------------------------------------------------------------------

for (const [name, hasClipboard] of [["the clipboard", true], ["the older command, as over plain HTTP", false]]) {
    test(`copies by ${name}: the open ports, JSON, a command that does the same, a link`, async () => {
        const { url } = await serve();
        const [a, b] = await listeners(2);
        const look = await visit(url, { permissions: ["clipboard-read", "clipboard-write"] });
        const copied = async id => {
            await look.page.click(id);
            await look.page.locator("#copied", { hasText: "copied." }).waitFor();
            return look.page.evaluate(() => globalThis.clipboard.readText());
        };
        await look.page.evaluate(has => {
            globalThis.clipboard = navigator.clipboard;
            if (!has)
                Object.defineProperty(navigator, "clipboard", { value: undefined });
        }, hasClipboard);
        await look.check(`${a}, ${b}, 40000-40002`);
        await look.title("2 of 5 ports");

        assert.deepEqual(await look.page.locator("#after .buttons button:visible").allTextContents(), [
            "Copy port list", "Check again", "Copy as JSON", "Copy as curl", "Copy link"]);
        assert.equal(await copied("#copy-ports"), b === a + 1 ? `${a}-${b}` : `${a},${b}`);
        const json = JSON.parse(await copied("#copy-json"));
        assert.deepEqual(Object.keys(json), ["success", "results", "message"]);
        assert.equal(json.success, true);
        assert.equal(json.message, "Successfully verified 2 out of 5 ports");
        assert.deepEqual(Object.keys(json.results).map(Number).sort(), [a, b, 40000, 40001, 40002].sort());

        const command = await copied("#copy-curl");
        const same = JSON.parse(execFileSync("sh", ["-c", command], { encoding: "utf8" }));
        for (const [port, result] of Object.entries(same.results))
            assert.deepEqual({ ...json.results[port], rtt_ms: 0 }, { ...result, rtt_ms: 0 });

        const link = await copied("#copy-link");
        assert.equal(link, look.page.url());
        const again = await visit(link);
        assert.equal(await again.page.inputValue("#ports"), `${a}, ${b}, 40000-40002`);
    });
}

// --- other paths ------------------------------------------------------------------------

test("it works below a prefix, and requests nothing above it", async () => {
    const { url } = await serve({ PORT_CHECKER_TRUSTED_PROXIES: "127.0.0.1", PORT_CHECKER_TARGETS: "any" });
    const proxy = await Proxy.start(url, "/golem/ports/");
    cleanups.add(() => proxy.stop());
    const [port] = await listeners(1);
    const look = await visit(proxy.url, { permissions: ["clipboard-read", "clipboard-write"] });
    look.page.on("request", request => {
        if (!request.url().startsWith(proxy.url))
            look.complaints.push(`requested above the prefix: ${request.url()}`);
    });
    await look.page.fill("#address", "127.0.0.1");
    await look.check(String(port));
    await look.title("The port can be reached");
    await look.page.click("#copy-curl");
    await look.page.locator("#copied", { hasText: "copied." }).waitFor();
    const command = await look.page.evaluate(() => navigator.clipboard.readText());
    assert.equal(JSON.parse(execFileSync("sh", ["-c", command], { encoding: "utf8" })).results[port].accessible, true);
    await look.page.reload();
    await look.page.waitForFunction(() => document.querySelector("#address").value);

    await look.page.click("nav a");
    assert.equal(look.page.url(), `${proxy.url}docs`);
    await look.page.goto(`${proxy.url}docs/`);
    assert.equal(look.page.url(), `${proxy.url}docs`);
    await look.page.click(".brand");
    await look.page.goto(`${proxy.url}a/b/c`);
    look.forgive(/status of 404|^not found: \S+\/a\/b\/c$/);
    await look.page.click("main a");
    assert.equal(look.page.url(), proxy.url);

    const plain = await Visit.open(browser, proxy.url, { javaScriptEnabled: false });
    cleanups.add(() => plain.close());
    await plain.page.fill("#address", "127.0.0.1");
    await plain.page.fill("#ports", String(port));
    await plain.page.click("#start");
    assert.match(await plain.page.textContent("#answer-title"), /^The port can be reached/);
    assert.equal(plain.page.url(), proxy.url);
});

test("a browser gets its 404 as a page, others as JSON", async () => {
    const { url } = await serve();
    const look = await Visit.open(browser, `${url}/no/such/page`);
    cleanups.add(() => look.close());
    assert.equal(await look.page.textContent("h1"), "Page not found");
    look.forgive(/status of 404|^not found: \S+\/no\/such\/page$/);
    await look.shoot("not-found", false);
    await look.accessible();
    await look.page.click("main a");
    await look.page.waitForFunction(() => document.querySelector("#address")?.value);

    for (const [accept, type] of [["*/*", "application/json"], ["text/html", "text/html; charset=utf-8"],
        ["text/html, application/json", "application/json"], ["text/html;q=0.5, application/json;q=0.9", "application/json"],
        ["application/json;q=0.5, text/html", "text/html; charset=utf-8"]]) {
        const reply = await fetch(`${url}/nowhere`, { headers: { Accept: accept } });
        assert.equal(reply.status, 404);
        assert.equal(reply.headers.get("Content-Type"), type, accept);
        if (type === "application/json")
            assert.equal(await reply.text(), '{"detail": "Not Found"}');
    }
    // Browsers request this by themselves.
    assert.equal((await fetch(`${url}/favicon.ico`)).headers.get("Content-Type"), "image/svg+xml");
});

test("the field of ports follows the width of the window", async () => {
    await listenOn([20020, 20021, 20022]);
    const { url } = await serve();
    const look = await visit(url);
    await look.check("20018-20025");
    await look.title("3 of 8 ports");
    await look.page.focus('.tile[data-port="20021"]');
    await look.page.setViewportSize({ width: 400, height: 800 });
    await look.page.waitForFunction(() => document.querySelectorAll(".tile").length === 3);
    assert.equal(await look.page.evaluate(() => document.activeElement.textContent), "20020\u201320022");
    await look.page.setViewportSize({ width: 1280, height: 900 });
    await look.page.waitForFunction(() => document.querySelectorAll(".tile").length === 8);
    assert.equal(counts(await look.states()).open, 3);
});

test("the advice names the command for the same check", needsFilter, async () => {
    filtered(["tcp dport 7466 drop"]);
    const { url } = await serve({ PORT_CHECKER_TRUSTED_PROXIES: "127.0.0.1", PORT_CHECKER_TARGETS: "any" });
    const proxy = await Proxy.start(url, "/golem/ports/");
    cleanups.add(() => proxy.stop());
    const look = await visit(proxy.url);
    await look.page.fill("#address", "127.0.0.1");
    const checker = proxy.url.slice(0, -1);
    // Those that port-verifier checks anyway are not named.
    for (const [ports, command] of [["7466, 50800 - 50900", `port-verifier --map ${checker}`],
        ["7466, 20008-20009", `port-verifier --map -p 7466,20008-20009 ${checker}`]]) {
        await look.check(ports);
        await look.title("None of the");
        assert.deepEqual(await look.page.locator(".report code").allTextContents(), [command]);
    }
    // on a phone, no line breaks within "--map"
    const options = look.page.locator(".report code .run");
    assert.deepEqual(await options.allTextContents(), ["--map", "-p"]);
    for (const width of [320, 330, 340, 350, 360, 370, 380, 390]) {
        await look.page.setViewportSize({ width, height: 640 });
        assert.deepEqual(await options.evaluateAll(all => all.map(one => one.getClientRects().length)), [1, 1], width);
        await look.fitsItsWidth();
    }
});

// --- without JavaScript -----------------------------------------------------------------

test("without JavaScript it is a plain form", needsFilter, async () => {
    filtered([SILENT]);
    await listenOn([20020, 20021]);
    const { url } = await serve({ PORT_CHECKER_TARGETS: "any" });
    const look = await Visit.open(browser, url, { javaScriptEnabled: false });
    cleanups.add(() => look.close());
    await look.shoot("plain-opened", false);
    await look.page.fill("#ports", "20000 - 20011, 20020-20021");
    await look.page.click("#start");
    assert.equal(await look.page.textContent("#answer-title"), "2 of 14 ports can be reached from this checker, but perhaps not from the internet.");
    assert.deepEqual(await look.page.locator(".answer tbody tr").allTextContents(), [
        "20000\u201320009filteredConnection timed out", "20010\u201320011closedConnection refused", "20020\u201320021openanswered"]);
    assert.equal(await look.page.inputValue("#ports"), "20000 - 20011, 20020-20021");
    await look.shoot("plain-answer");
    await look.fitsItsWidth();

    assert.deepEqual(await look.page.locator(".answer code").allTextContents(), ["port-verifier --map -p PORTS URL-OF-THIS-PAGE"]);
    assert.match(await look.page.textContent('.answer [data-state="filtered"] li:nth-child(2)'), /asks the router to forward these ports/);

    await look.page.fill("#ports", "0, <b>");
    await look.page.click("#start");
    assert.deepEqual(await look.page.locator(".answer li").allTextContents(), [
        "Ports, item 1: Invalid port number: 0", "Ports, item 2: value is not a valid integer"]);
    look.forgive(/status of 422/);
    await look.shoot("plain-fault", false);
    await look.page.fill("#address", "224.0.0.1");
    await look.page.fill("#ports", "80");
    await look.page.click("#start");
    assert.match(await look.page.textContent(".answer"), /This address cannot be checked.*may not have 224\.0\.0\.1 checked/s);
    look.forgive(/status of 403/);
});

test("without JavaScript the texts for a single port are in the singular", async () => {
    const { url } = await serve();
    const [port] = await listeners(1);
    const look = await Visit.open(browser, url, { javaScriptEnabled: false });
    cleanups.add(() => look.close());
    await look.page.fill("#ports", `${port}, 40000`);
    await look.page.click("#start");
    const told = await look.page.textContent(".answer .report");
    assert.match(told, /The checker could connect\. Advertise this port\./);
    assert.match(told, /Does the router forward this port to this computer\?/);
});

test("a form of another site is refused for that reason", async () => {
    const { url } = await serve({ PORT_CHECKER_TRUSTED_PROXIES: "127.0.0.1" });
    const answer = await fetch(url, {
        method: "POST", body: new URLSearchParams({ ports: "80" }),
        headers: { "Sec-Fetch-Site": "cross-site", "X-Forwarded-For": "203.0.113.7" },
    });
    const text = await answer.text();
    assert.equal(answer.status, 403);
    assert.match(text, /<h2 id="answer-title">This request came from another site<\/h2>/);
    assert.match(text, /only accepts requests from its own page\. Open that page/);
});

test("the operator's form keeps the operator's rights", async () => {
    const { url } = await serve();
    const look = await Visit.open(browser, url, { javaScriptEnabled: false });
    cleanups.add(() => look.close());
    await look.page.fill("#address", "127.0.0.2");
    await look.page.fill("#ports", "9");
    await look.page.click("#start");
    assert.equal(await look.page.textContent("#answer-title"), "The port cannot be reached from this checker: do not advertise it.");
    assert.equal(await look.page.inputValue("#address"), "127.0.0.2");
});

test("an answer without JavaScript is accessible", async () => {
    const { url } = await serve();
    const [port] = await listeners(1);
    const look = await visit(url);
    await look.page.fill("#ports", `${port}, 40000`);
    await Promise.all([look.page.waitForNavigation(), look.page.evaluate(() => HTMLFormElement.prototype.submit.call(document.querySelector("#form")))]);
    assert.equal(await look.page.textContent("#answer-title"), "1 of 2 ports can be reached from this checker, but perhaps not from the internet.");
    await look.accessible();
});

// --- the reference ----------------------------------------------------------------------

test("the description is OpenAPI 3.1", async () => {
    const { url } = await serve();
    const validator = new Validator();
    const { valid, errors } = await validator.validate(await (await fetch(`${url}/openapi.json`)).json());
    assert.deepEqual(errors ?? [], []);
    assert.equal(valid, true);
    assert.equal(validator.version, "3.1");
    const broken = await new Validator().validate({ openapi: "3.1.0", info: { title: "x" }, paths: {} });
    assert.equal(broken.valid, false);
});

test("the reference is readable, without a script", async () => {
    const { url } = await serve();
    for (const [name, options] of [["docs", {}], ["docs-dark", { colorScheme: "dark" }], ["docs-phone", PHONE]]) {
        const look = await Visit.open(browser, `${url}/docs`, options);
        cleanups.add(() => look.close());
        assert.equal(await look.page.locator("script").count(), 0);
        assert.ok(await look.page.locator("#checkPorts pre").count() > 4);
        assert.equal(await look.page.locator("main > h1 + nav.contents").count(), 1);
        assert.equal(await look.page.locator("#problems + section td", { hasText: "headers_too_large" }).count(), 1);
        assert.equal(await look.page.locator("thead", { hasText: "Status" }).count(), 1);
        for (const link of await look.page.locator('a[href^="#"]').all()) {
            const id = (await link.getAttribute("href")).slice(1);
            assert.equal(await look.page.locator(`[id="${id}"]`).count(), 1, id);
        }
        await look.fitsItsWidth();
        await look.shoot(name);
        await look.accessible();
    }
});
