-- SPDX-License-Identifier: MIT
-- For wrk: posts one check over and over, prints what came of it as one JSON line.
--   wrk -s check.lua URL -- TARGET FIRST-PORT COUNT [MEMBERS]
-- MEMBERS are further members of the JSON.
-- Without arguments it sends wrk's own GET.
function init(args)
    if #args == 0 then return end
    local first, ports = tonumber(args[2]), {}
    for i = 1, tonumber(args[3]) do ports[i] = first + i - 1 end
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = string.format('{"provider_ip": "%s", "ports": [%s]%s}', args[1],
                             table.concat(ports, ","), args[4] or "")
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "microseconds": %d, "not_200": %d, "broken": %d, ' ..
            '"p50": %d, "p99": %d}\n',
        summary.requests, summary.duration, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
