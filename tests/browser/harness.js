// SPDX-License-Identifier: MIT
// The service, ports to probe, and a browser that opens the page. Each test removes after it
// what it made with these: see Cleanups.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";

import { chromium } from "playwright-core";

const BUILD_DIR = path.resolve(process.env.BUILD_DIR ?? "build");
const SCREENSHOTS = path.resolve("build/screenshots");
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const USUAL = {
    PORT_CHECKER_HOST: "127.0.0.1", PORT_CHECKER_PORT: "0", PORT_CHECKER_WORKERS: "2",
    PORT_CHECK_TIMEOUT: "0.5", PORT_CHECKER_RATE: "0",
};
// Milliseconds. Only a test that fails waits that long: the machine may be busy.
const PATIENCE = 90000;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const PHONE = { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

// --- what a test leaves -----------------------------------------------------------------

// What is to be undone, last first. A cleanup that fails does not keep the others from
// running: a service or a socket that stays would keep node from ending.
export class Cleanups {
    #undo = [];

    add(undo) {
        this.#undo.push(undo);
    }

    async run() {
        const errors = [];
        for (const undo of this.#undo.splice(0).reverse()) {
            try {
                await undo();
            } catch (error) {
                errors.push(error);
            }
        }
        if (errors.length === 1)
            throw errors[0];
        if (errors.length > 1)
            throw new AggregateError(errors, errors.map(error => error.message).join("\n"));
    }
}

// --- the service ------------------------------------------------------------------------

export class Service {
    static async start(settings = {}) {
        const service = new Service();
        service.folder = mkdtempSync(path.join(tmpdir(), "checker-"));
        service.lines = [];
        service.child = spawn(path.join(BUILD_DIR, "port-checker"), {
            cwd: service.folder,
            env: { PATH: process.env.PATH, ...USUAL, ...settings },
            stdio: ["ignore", "ignore", "pipe"],
        });
        service.ended = once(service.child, "exit");
        const log = readline.createInterface({ input: service.child.stderr });
        log.on("line", line => service.lines.push(line));
        const ready = await service.said(/event=ready /);
        service.port = Number(/ port=(\d+)/.exec(ready)[1]);
        service.pid = Number(/ pid=(\d+)/.exec(ready)[1]); // of the serving process
        const host = (settings.PORT_CHECKER_HOST ?? "127.0.0.1");
        service.url = `http://${host.includes(":") ? `[${host}]` : host}:${service.port}`;
        return service;
    }

    async said(pattern) {
        const end = Date.now() + PATIENCE;
        for (;;) {
            const line = this.lines.find(text => pattern.test(text));
            if (line)
                return line;
            assert.ok(Date.now() < end && this.child.exitCode === null, `no ${pattern} in:\n${this.lines.join("\n")}`);
            await new Promise(resolve => setTimeout(resolve, 10));
        }
    }

    async stop() {
        if (this.child.exitCode === null && this.child.signalCode === null)
            this.child.kill("SIGTERM");
        const [status, signal] = await this.ended;
        rmSync(this.folder, { recursive: true, force: true });
        return signal ?? status;
    }
}

// --- ports ------------------------------------------------------------------------------

export async function listen(port = 0, host = "127.0.0.1") {
    const server = net.createServer(socket => socket.destroy());
    server.listen(port, host);
    await once(server, "listening");
    return server;
}

function nft(text) {
    execFileSync("nft", ["-f", "-"], { input: text });
}

// Only where it cannot affect anything else: as root, in a network with nothing but loopback.
export function hasFilter() {
    if (process.getuid() !== 0)
        return false;
    try {
        const links = execFileSync("ip", ["-oneline", "link", "show", "up"], { encoding: "utf8" });
        execFileSync("nft", ["--version"]);
        return links.trim().split("\n").every(line => line.split(": ")[1] === "lo");
    } catch {
        return false;
    }
}

export function filter(rules) {
    nft(`add table inet page
add chain inet page input { type filter hook input priority 0; }
${rules.map(rule => `add rule inet page input ${rule}`).join("\n")}
`);
    return { close: () => nft("delete table inet page\n") };
}

// Addresses that this machine has until close().
export function haveAddresses(...addresses) {
    const change = verb => addresses.forEach(address => execFileSync("ip", ["address", verb, `${address}/32`, "dev", "lo"]));
    change("add");
    return { close: () => change("del") };
}

// --- a proxy ----------------------------------------------------------------------------

// nginx that serves the checker below a prefix and nothing else. It names a caller that is not
// on loopback: a proxy must not name a loopback address.
export class Proxy {
    static async start(upstream, prefix) {
        const proxy = new Proxy();
        const socket = net.createServer().listen(0, "127.0.0.1");
        await once(socket, "listening");
        const { port } = socket.address();
        await new Promise(resolve => socket.close(resolve));
        proxy.folder = mkdtempSync(path.join(tmpdir(), "proxy-"));
        const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(name => `${name}_temp_path ${proxy.folder}/${name};`);
        writeFileSync(path.join(proxy.folder, "nginx.conf"), `daemon off;
master_process off;
pid ${proxy.folder}/pid;
error_log ${proxy.folder}/error.log;
events {}
http {
    access_log off;
    ${temporary.join("\n    ")}
    server {
        listen 127.0.0.1:${port};
        location ${prefix} {
            proxy_pass ${upstream}/;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For 203.0.113.7;
        }
    }
}
`);
        proxy.child = spawn("/usr/sbin/nginx", ["-p", proxy.folder, "-e", `${proxy.folder}/error.log`, "-c", "nginx.conf"], { stdio: "inherit" });
        proxy.ended = once(proxy.child, "exit");
        proxy.url = `http://127.0.0.1:${port}${prefix}`;
        const end = Date.now() + PATIENCE;
        while (!(await fetch(proxy.url).then(reply => reply.ok, () => false))) {
            assert.ok(Date.now() < end && proxy.child.exitCode === null, "nginx does not start");
            await new Promise(resolve => setTimeout(resolve, 20));
        }
        return proxy;
    }

    async stop() {
        this.child.kill("SIGTERM");
        await this.ended;
        rmSync(this.folder, { recursive: true, force: true });
    }
}

// --- the browser ------------------------------------------------------------------------

export function launch(...flags) {
    return chromium.launch({ executablePath: "/usr/bin/chromium", args: [...FLAGS, ...flags] });
}

// A page. close() fails when the browser complained about anything, or requested anything
// from another origin.
export class Visit {
    static async open(browser, url, options = {}) {
        const visit = new Visit();
        visit.complaints = [];
        visit.hasScripts = options.javaScriptEnabled !== false;
        visit.origin = new URL(url).origin;
        visit.context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
        visit.context.setDefaultTimeout(PATIENCE);
        await visit.context.addInitScript(() => {
            addEventListener("securitypolicyviolation", event =>
                console.error(`violation: ${event.violatedDirective} ${event.blockedURI}`));
        });
        const page = visit.page = await visit.context.newPage();
        page.on("pageerror", error => visit.complaints.push(`error: ${error}`));
        page.on("console", message => {
            if (["error", "warning"].includes(message.type()))
                visit.complaints.push(`${message.type()}: ${message.text()} ${message.location().url}`);
        });
        page.on("response", response => {
            if (response.status() === 404)
                visit.complaints.push(`not found: ${response.url()}`);
        });
        page.on("request", request => {
            if (new URL(request.url()).origin !== visit.origin)
                visit.complaints.push(`asked elsewhere: ${request.url()}`);
        });
        await page.goto(url);
        return visit;
    }

    // Drops the complaints that a test expects.
    forgive(pattern) {
        this.complaints = this.complaints.filter(text => !pattern.test(text));
    }

    async close() {
        await this.context.close();
        assert.deepEqual(this.complaints, []);
    }

    async check(ports) {
        if (ports !== undefined)
            await this.page.fill("#ports", ports);
        await this.page.click("#start");
    }

    async title(text) {
        await this.page.locator("#result-title", { hasText: text }).waitFor();
    }

    states() {
        return this.page.$$eval(".tile", tiles => tiles.flatMap(({ dataset: { port, last, state } }) =>
            Array.from({ length: last - port + 1 }, (_, i) => [Number(port) + i, state])));
    }

    async shoot(name, fullPage = true) {
        assert.ok(await this.page.locator("button.primary:visible").count() <= 1, "more than one primary button");
        mkdirSync(SCREENSHOTS, { recursive: true });
        writeFileSync(path.join(SCREENSHOTS, `${name}.png`), await this.picture(fullPage));
    }

    // A PNG of the page at rest: after the animations that end by themselves. For other values
    // of `caret` and `animations` Playwright would add a style, which the policy forbids.
    async picture(fullPage = true) {
        if (this.hasScripts)
            await this.page.waitForFunction(() => document.getAnimations().every(it => it.effect.getTiming().iterations === Infinity));
        return this.page.screenshot({ fullPage, caret: "initial", animations: "allow" });
    }

    async accessible() {
        const before = this.complaints.length;
        await this.page.evaluate(AXE);
        const { violations } = await this.page.evaluate(() => globalThis.axe.run(document, {
            runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        }));
        this.complaints.length = before; // of the tool's own styles
        const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
        const told = serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 5).map(node => `${node.html} ${node.failureSummary}`).join("; ")}`);
        assert.deepEqual(told, []);
        return violations.map(({ id }) => id);
    }

    async fitsItsWidth() {
        const [wanted, there] = await this.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(wanted <= there, `${wanted} px wide on a screen of ${there}`);
    }
}
