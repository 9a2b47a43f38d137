// SPDX-License-Identifier: MIT
// The field of ports: a tile for each, or for each run of one state; reached by pointer, finger or arrow keys.
import { formatRun } from "./ports.js";
import { STATES, formatTime, nameOf, placeName, placeState, placesOf, plural, reasonOf, shownState } from "./words.js";

const ROOMY_MAX = 16;     // up to this many ports have large tiles
const UNFOLDED_MAX = 200; // beyond that, runs of one state share a tile
const TIP_GAP = 6;        // px between a tile and its description

// "reached from 2 of 3 places: eu-1 open 12 ms, us-1 filtered, ap-1 open 9.1 ms".
function describePlaces(vantages, hasTimes) {
    const all = Object.entries(vantages);
    const told = all.map(([name, place]) =>
        `${name} ${placeName(place)}${hasTimes && typeof place.rtt_ms === "number" ? ` ${formatTime(place.rtt_ms)}` : ""}`);
    return `reached from ${placesOf({ vantages }).from.length} of ${plural(all.length, "place")}: ${told.join(", ")}`;
}

// Ports are alike to a reader if their places are, whatever the times.
function signOf({ vantages = null }) {
    return JSON.stringify(vantages && Object.entries(vantages).map(([name, place]) => [name, placeName(place)]));
}

function describe({ ports, state, isWaiting, errors, rtt, vantages }) {
    const parts = [isWaiting ? STATES.waiting.name : nameOf(state)];
    if (ports.length > 1)
        parts.unshift(plural(ports.length));
    if (errors.size === 1 && !errors.has(null))
        parts.push(...errors);
    if (ports.length === 1 && rtt !== null)
        parts.push(formatTime(rtt));
    if (vantages)
        parts.push(describePlaces(vantages, ports.length === 1));
    return `${formatRun([ports[0], ports.at(-1)])}: ${parts.join(", ")}`;
}

export class Grid {
    constructor(root, tip) {
        this.root = root;
        this.tip = tip;
        this.isNarrow = false;
        this.ports = [];
        root.addEventListener("pointerover", event => this.show(event.target.closest(".tile")));
        root.addEventListener("pointerleave", event => {
            if (event.pointerType === "mouse")
                this.show(root.querySelector(".tile:focus-visible"));
        });
        root.addEventListener("focusin", event => this.enter(event.target.closest(".tile")));
        root.addEventListener("focusout", () => this.show(null));
        root.addEventListener("click", event => this.show(event.target.closest(".tile")));
        root.addEventListener("keydown", event => this.onKey(event));
    }

    reset(ports) {
        this.ports = ports;
        this.verdicts = new Map();
        this.tiles = new Map(); // by their first port
        this.told = new Map();
        this.places = []; // names, in the order of the dots
        this.shown = this.current = null;
        this.tip.hidden = true;
        this.root.replaceChildren();
        this.draw();
    }

    // On a narrow screen, runs of any number of ports share tiles.
    setNarrow(isNarrow) {
        this.isNarrow = isNarrow;
        if (this.ports.length > 0)
            this.draw();
    }

    mark(port, verdict) {
        this.verdicts.set(port, verdict);
        for (const name of Object.keys(verdict.vantages ?? {})) {
            if (!this.places.includes(name))
                this.places.push(name);
        }
    }

    // What each tile stands for: one port, or a run of ports in one state.
    groups(isFolded) {
        const groups = [];
        let last = null;
        for (const port of this.ports) {
            const verdict = this.verdicts.get(port);
            const { state = "unknown", rtt_ms: rtt = null, vantages } = verdict ?? { state: "waiting" };
            const sign = signOf({ vantages });
            if (!isFolded || last?.state !== state || last.sign !== sign || last.ports.at(-1) !== port - 1)
                groups.push(last = { ports: [], state, isWaiting: !verdict, errors: new Set(), rtt, vantages, sign });
            last.ports.push(port);
            last.errors.add(reasonOf(verdict ?? {}));
        }
        return groups;
    }

    // Tiles that stay are kept, so that focus and pointer stay where they are.
    draw() {
        const isFolded = this.isNarrow || this.ports.length > UNFOLDED_MAX;
        const had = this.root.contains(document.activeElement) ? Number(document.activeElement.dataset.port) : null;
        const old = this.tiles;
        this.tiles = new Map();
        let before = null;
        for (const group of this.groups(isFolded)) {
            const tile = old.get(group.ports[0]) ?? this.make(group.ports[0]);
            this.fill(tile, group);
            this.tiles.set(group.ports[0], tile);
            old.delete(group.ports[0]);
        }
        for (const tile of old.values()) {
            this.told.delete(tile);
            tile.remove();
        }
        for (const tile of this.tiles.values()) {
            const next = before ? before.nextSibling : this.root.firstChild;
            if (next !== tile)
                this.root.insertBefore(tile, next);
            before = tile;
        }
        this.list = [...this.tiles.values()];
        this.root.dataset.size = isFolded ? "folded" : this.ports.length <= ROOMY_MAX ? "roomy" : "numbered";
        this.keepPlace(had);
    }

    make(port) {
        const tile = document.createElement("button");
        tile.type = "button";
        tile.className = "tile";
        tile.tabIndex = -1;
        tile.dataset.port = port;
        return tile;
    }

    fill(tile, group) {
        const text = describe(group);
        if (this.told.get(tile) === text)
            return;
        this.told.set(tile, text);
        tile.textContent = formatRun([group.ports[0], group.ports.at(-1)]);
        if (group.vantages)
            tile.append(this.dots(group.vantages));
        tile.dataset.last = group.ports.at(-1);
        tile.dataset.state = group.isWaiting ? "waiting" : shownState(group.state);
        tile.setAttribute("aria-label", text);
        if (tile === this.shown)
            this.tip.textContent = text;
    }

    // One for each place, in the same order on every tile; the tile's label has the same in words.
    dots(vantages) {
        const made = document.createElement("span");
        made.className = "dots";
        made.setAttribute("aria-hidden", "true");
        made.append(...this.places.map(name => {
            const dot = document.createElement("i");
            if (Object.hasOwn(vantages, name))
                dot.dataset.state = placeState(vantages[name]);
            return dot;
        }));
        return made;
    }

    // Tab reaches the same tile as before, or the one that now has its port.
    keepPlace(had) {
        const holds = (tile, port) => Number(tile.dataset.port) <= port && port <= Number(tile.dataset.last);
        const port = Number(this.current?.dataset.port);
        const tile = this.tiles.get(port) ?? this.list.find(one => holds(one, port)) ?? this.list[0];
        if (this.shown && !this.told.has(this.shown))
            this.show(null);
        tile.tabIndex = 0;
        this.current &&= tile;
        if (had !== null && !this.root.contains(document.activeElement))
            tile.focus({ preventScroll: true });
    }

    show(tile) {
        this.shown = tile;
        this.tip.hidden = !tile;
        if (!tile)
            return;
        this.tip.textContent = this.told.get(tile);
        const room = this.root.offsetWidth - this.tip.offsetWidth;
        const wanted = tile.offsetLeft + tile.offsetWidth / 2 - this.tip.offsetWidth / 2;
        this.tip.style.left = `${Math.max(0, Math.min(room, wanted))}px`;
        // Above the tile, unless it would cover the counts there.
        const above = tile.offsetTop - this.tip.offsetHeight - TIP_GAP;
        const below = tile.offsetTop + tile.offsetHeight + TIP_GAP;
        this.tip.style.top = `${above < 0 ? below : above}px`;
    }

    enter(tile) {
        if (!tile)
            return;
        (this.current ?? this.list[0]).tabIndex = -1;
        tile.tabIndex = 0;
        this.current = tile;
        this.show(tile);
    }

    columns() {
        const top = this.list[0].offsetTop;
        const next = this.list.findIndex(tile => tile.offsetTop !== top);
        return next < 0 ? this.list.length : next;
    }

    onKey(event) {
        const at = this.list.indexOf(event.target);
        if (at < 0)
            return;
        if (event.key === "Escape") {
            this.show(null);
            return;
        }
        const steps = {
            ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns(), ArrowDown: this.columns(),
            Home: -at, End: this.list.length - 1 - at,
        };
        const tile = this.list[at + (steps[event.key] ?? NaN)];
        if (!tile)
            return;
        event.preventDefault();
        tile.focus();
    }
}
