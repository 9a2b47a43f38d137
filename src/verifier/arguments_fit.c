/* SPDX-License-Identifier: MIT */
#include "verifier/arguments_fit.h"

#include "base/err.h"
#include "verifier/arguments.h"
#include "verifier/ports.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_REQUIRED 7466

static bool listed_check(const struct arguments *arguments, const char *option,
                         const uint16_t *ports, size_t count, struct err *err)
{
    size_t ignored;
    for (size_t i = 0; i < count; i++)
        if (!ports_find(arguments->ports, arguments->port_count, ports[i], &ignored))
            return err_set(err, ERR_INVALID,
                           "--%s names port %u, which is not one of the ports to check",
                           option, ports[i]);
    return true;
}

/* Where the ports lead, and which of them this machine has to hold. */
static bool inner_fill(struct arguments *arguments, struct err *err)
{
    size_t count = arguments->port_count;
    assert(count > 0 && arguments->ports);
    arguments->inner = calloc(count, sizeof *arguments->inner);
    arguments->held = calloc(count, sizeof *arguments->held);
    arguments->held_index = calloc(count, sizeof *arguments->held_index);
    if (!arguments->inner || !arguments->held || !arguments->held_index)
        return err_sys(err, ENOMEM, "arguments");

    for (size_t i = 0; i < count; i++) {
        uint16_t inner = arguments->inner_of[arguments->ports[i]];
        arguments->inner[i] = inner != 0 ? inner : arguments->ports[i];
        arguments->held[i] = arguments->inner[i];
    }
    ports_sort(arguments->held, count);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || arguments->held[i] != arguments->held[i - 1])
            arguments->held[arguments->held_count++] = arguments->held[i];
    for (size_t i = 0; i < count; i++) {
        bool is_there = ports_find(arguments->held, arguments->held_count,
                                   arguments->inner[i], &arguments->held_index[i]);
        assert(is_there);
        (void)is_there;
    }
    return true;
}

/* A checker looks at the first ports of a question first, and an address that protects
 * itself may answer no others. */
static bool order_fill(struct arguments *arguments, struct err *err)
{
    size_t ignored;
    size_t at = 0;
    arguments->order = calloc(arguments->port_count, sizeof *arguments->order);
    if (!arguments->order)
        return err_sys(err, ENOMEM, "arguments");
    for (int is_required = 1; is_required >= 0; is_required--)
        for (size_t i = 0; i < arguments->port_count; i++)
            if (ports_find(arguments->required, arguments->required_count,
                           arguments->ports[i], &ignored) == (is_required == 1))
                arguments->order[at++] = i;
    return true;
}

static bool required_default(struct arguments *arguments, struct err *err)
{
    if (arguments->required)
        return true;
    arguments->required = calloc(1, sizeof *arguments->required);
    if (!arguments->required)
        return err_sys(err, ENOMEM, "arguments");
    for (size_t i = 0; i < arguments->port_count && arguments->required_count == 0; i++) {
        if (arguments->inner[i] != DEFAULT_REQUIRED)
            continue;
        arguments->required[0] = arguments->ports[i];
        arguments->required_count = 1;
    }
    return true;
}

/* A router forwards to a port of this machine from one port only. */
static bool mappable_check(const struct arguments *arguments, struct err *err)
{
    for (size_t i = 0; i < arguments->port_count && arguments->is_mapping; i++)
        for (size_t j = 0; j < i; j++)
            if (arguments->inner[i] == arguments->inner[j])
                return err_set(
                    err, ERR_INVALID,
                    "--map: ports %u and %u both lead to port %u of this machine, "
                    "but a router forwards only one port to it",
                    arguments->ports[j], arguments->ports[i], arguments->inner[i]);
    return true;
}

bool arguments_fit_ports(struct arguments *arguments, struct err *err)
{
    if (arguments->port_count == 0)
        return err_set(err, ERR_INVALID,
                       "no ports given; example: --ports " ARGUMENTS_PORTS);
    return inner_fill(arguments, err) && required_default(arguments, err) &&
           listed_check(arguments, "required", arguments->required,
                        arguments->required_count, err) &&
           listed_check(arguments, "in-use", arguments->in_use, arguments->in_use_count,
                        err) &&
           order_fill(arguments, err) && mappable_check(arguments, err);
}

bool arguments_want(const struct arguments *arguments, const struct endpoint *endpoint,
                    enum family family)
{
    const bool *has_ip = arguments->has_ip;
    const bool *has_source = arguments->has_source;
    bool has_any_ip = has_ip[FAMILY_4] || has_ip[FAMILY_6];
    bool has_any_source = has_source[FAMILY_4] || has_source[FAMILY_6];
    if (!arguments->is_family[family] || (has_any_ip && !has_ip[family]) ||
        (has_any_source && !has_source[family]))
        return false;
    return endpoint->literal_family == 0 ||
           endpoint->literal_family == family_number(family);
}

bool arguments_fit_endpoints(const struct arguments *arguments, struct err *err)
{
    if (arguments->endpoint_count == 0)
        return err_set(err, ERR_INVALID,
                       "no checker given; example: port-verifier checker.example");
    if (arguments->quorum > arguments->endpoint_count)
        return err_set(err, ERR_INVALID,
                       "--quorum %u needs at least %u checkers, but %zu %s given",
                       arguments->quorum, arguments->quorum, arguments->endpoint_count,
                       arguments->endpoint_count == 1 ? "is" : "are");
    for (size_t i = 0; i < arguments->endpoint_count; i++)
        for (enum family family = 0; family < FAMILY_COUNT; family++)
            if (arguments_want(arguments, &arguments->endpoints[i], family))
                return true;
    return err_set(err, ERR_INVALID,
                   "-4, -6, --ip and --source leave no address family to check with these "
                   "checkers");
}
