// SPDX-License-Identifier: MIT
// Takes README's pictures of the page, light and dark, from a check of the ports of its
// example: 49 of 102 are open, and the router does not forward the rest.
//
//     node tests/browser/pictures.js FOLDER
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";

import { Cleanups, Service, Visit, filter, hasFilter, haveAddresses, launch, listen } from "./harness.js";

const ADDRESS = "203.0.113.7"; // for documentation (RFC 5737)
const NAME = "checker.example";
const OPEN = [7466, ...Array.from({ length: 48 }, (_, i) => 50800 + i)];
const VIEWPORT = { width: 1080, height: 900 };

async function take(browser, url, colorScheme, file) {
    const look = await Visit.open(browser, url, { colorScheme, viewport: VIEWPORT });
    await look.page.waitForFunction(() => document.querySelector("#address").value);
    await look.check();
    await look.title(`${OPEN.length} of 102 ports can be reached from the internet`);
    await look.page.mouse.move(0, 0);
    await look.page.evaluate(() => document.activeElement.blur());
    writeFileSync(file, await look.picture());
    await look.close();
}

const cleanups = new Cleanups();
try {
    assert.ok(hasFilter(), "needs root, nft and a network of its own: run './dev pictures'");
    const address = haveAddresses(ADDRESS);
    cleanups.add(() => address.close());
    const rules = filter([`ip daddr ${ADDRESS} tcp dport 50848-50900 drop`]);
    cleanups.add(() => rules.close());
    const service = await Service.start({ PORT_CHECKER_HOST: ADDRESS, PORT_CHECKER_PORT: "80", PORT_CHECKER_TARGETS: "caller", PORT_CHECK_TIMEOUT: "5" });
    cleanups.add(() => service.stop());
    for (const port of OPEN) {
        const server = await listen(port, ADDRESS);
        cleanups.add(() => server.close());
    }
    const browser = await launch(`--host-resolver-rules=MAP ${NAME} ${ADDRESS}`);
    cleanups.add(() => browser.close());
    for (const colorScheme of ["light", "dark"])
        await take(browser, `http://${NAME}`, colorScheme, path.join(process.argv[2], `page-${colorScheme}.png`));
} finally {
    await cleanups.run();
}
