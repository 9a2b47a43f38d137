// SPDX-License-Identifier: MIT
// The field of ports: one tile each, reached by pointer, finger or arrow keys.
import { STATES } from "./words.js";

// From these counts on tiles lose first their size and then their number.
const ROOMY_MAX = 16;
const NUMBERED_MAX = 256;
const TIP_GAP = 6;  // px between a tile and what is said of it

function formatTime(ms) {
    if (ms < 0.1)
        return "under 0.1 ms";
    return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

function describe(port, verdict) {
    const parts = [STATES[verdict.state].name];
    if (verdict.error)
        parts.push(verdict.error);
    if (verdict.rtt_ms !== null && verdict.rtt_ms !== undefined)
        parts.push(formatTime(verdict.rtt_ms));
    return `${port}: ${parts.join(", ")}`;
}

export class Grid {
    constructor(root, tip) {
        this.root = root;
        this.tip = tip;
        this.tiles = new Map();
        this.told = new Map();
        this.current = null;
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
        const tiles = document.createDocumentFragment();
        this.tiles.clear();
        this.told.clear();
        this.shown = this.current = null;
        this.tip.hidden = true;
        for (const port of ports) {
            const tile = document.createElement("button");
            tile.type = "button";
            tile.className = "tile";
            tile.tabIndex = -1;
            tile.dataset.port = port;
            if (ports.length <= NUMBERED_MAX)
                tile.textContent = port;
            this.tiles.set(port, tile);
            this.mark(port, { state: "waiting", error: null });
            tiles.append(tile);
        }
        this.list = [...tiles.children];
        this.list[0].tabIndex = 0;
        this.root.dataset.size = ports.length <= ROOMY_MAX ? "roomy"
            : ports.length <= NUMBERED_MAX ? "numbered" : "dense";
        this.root.replaceChildren(tiles);
    }

    mark(port, verdict) {
        const tile = this.tiles.get(port);
        if (!tile)
            return;
        const text = describe(port, verdict);
        this.told.set(tile, text);
        tile.dataset.state = verdict.state;
        tile.setAttribute("aria-label", text);
        if (tile === this.shown)
            this.tip.textContent = text;
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
        // Above it, unless that is where the counts stand.
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
