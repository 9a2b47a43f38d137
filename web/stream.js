// SPDX-License-Identifier: MIT
// One check: the request, the lines of its answer, and every way in which it can end.

async function refusalOf(response) {
    const body = await response.json().catch(() => ({}));
    const seconds = Number(response.headers.get("Retry-After"));
    return {
        end: "refused",
        status: response.status,
        detail: body.detail ?? `status ${response.status}`,
        code: body.code ?? null,
        retryAfter: seconds > 0 ? seconds : null,
    };
}

async function* linesOf(stream) {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
        const { value, done } = await reader.read();
        if (done)
            return;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        yield lines;
    }
}

// Resolves to {end: "done" | "refused" | "fault" | "lost" | "stopped", ...}. A stream that
// breaks off before its last line is lost; the verdicts before that remain valid.
export async function check(request, signal, onVerdicts) {
    try {
        const response = await fetch("./check-ports", {
            method: "POST",
            headers: { "Content-Type": "application/json", "Accept": "application/x-ndjson" },
            body: JSON.stringify(request),
            cache: "no-store",
            signal,
        });
        if (!response.ok)
            return await refusalOf(response);

        let last = null;
        for await (const lines of linesOf(response.body)) {
            const verdicts = [];
            for (const line of lines.filter(Boolean)) {
                const value = JSON.parse(line);
                if ("port" in value)
                    verdicts.push(value);
                else
                    last = value;
            }
            onVerdicts(verdicts);
        }
        if (!last)
            return { end: "lost" };
        return { end: "success" in last ? "done" : "fault", ...last };
    } catch (error) {
        return { end: signal.aborted ? "stopped" : "lost", error };
    }
}

export async function ask(path) {
    const response = await fetch(path, { cache: "no-store" });
    if (!response.ok)
        throw Object.assign(new Error(path), { outcome: await refusalOf(response) });
    return response.json();
}
