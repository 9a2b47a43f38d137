/* SPDX-License-Identifier: MIT */
#include "upnp/port_mapping.h"

#include "base/text.h"

#include <miniupnpc/upnpcommands.h>
#include <stdio.h>
#include <string.h>

#define DESCRIPTION "port-verifier"
#define TCP         "TCP"

#define NOT_THERE   714 /* NoSuchEntryInArray */
#define TAKEN       718 /* ConflictInMappingEntry */
#define PERMANENT   725 /* OnlyPermanentLeasesSupported */

/* --- one question --------------------------------------------------------------------- */

/* A mapping of the router, with the sizes that the library writes at most. */
struct entry {
    struct address client;
    uint16_t inner;
    uint32_t lease;
    bool is_ours;       /* it leads to this machine and port */
    bool is_foreign;    /* another program has made it */
    bool is_described;  /* as one of ours */
    char bytes[5][128]; /* client, port, description, whether it is enabled, lease */
};

static bool number_read(const char *digits, uint64_t max, uint64_t *ret)
{
    return text_parse_u64(digits, strlen(digits), max, ret);
}

/* The result; `ret` is written if it is 0. An entry that makes no sense counts as none. */
static int entry_get(const struct dialogue *dialogue, const struct request_port *port,
                     struct entry *ret)
{
    const struct igd *igd = dialogue->igd;
    uint64_t inner, lease;
    char outer[8];
    struct entry entry = {.inner = 0};
    snprintf(outer, sizeof outer, "%u", port->outer);
    int result = UPNP_GetSpecificPortMappingEntry(
        igd->urls.controlURL, igd->data.first.servicetype, outer, TCP, NULL, entry.bytes[0],
        entry.bytes[1], entry.bytes[2], entry.bytes[3], entry.bytes[4]);
    if (result != 0)
        return dialogue_result(result);
    if (!address_parse(entry.bytes[0], strlen(entry.bytes[0]), &entry.client, NULL) ||
        address_family_number(&entry.client) != 4 ||
        !number_read(entry.bytes[1], UINT16_MAX, &inner))
        return ANSWER_SILENT;

    entry.inner = (uint16_t)inner;
    entry.lease = number_read(entry.bytes[4], UINT32_MAX, &lease) ? (uint32_t)lease : 0;
    entry.is_ours = address_equals(&entry.client, &dialogue->request->client) &&
                    entry.inner == port->inner;
    entry.is_described = strcmp(entry.bytes[2], DESCRIPTION) == 0;
    entry.is_foreign = entry.bytes[2][0] && !entry.is_described;
    *ret = entry;
    return 0;
}

static int mapping_add(const struct dialogue *dialogue, const struct request_port *port)
{
    const struct igd *igd = dialogue->igd;
    char outer[8], inner[8], lease[12];
    snprintf(outer, sizeof outer, "%u", port->outer);
    snprintf(inner, sizeof inner, "%u", port->inner);
    snprintf(lease, sizeof lease, "%u", dialogue->lease);
    return dialogue_result(
        UPNP_AddPortMapping(igd->urls.controlURL, igd->data.first.servicetype, outer, inner,
                            dialogue->local, DESCRIPTION, TCP, NULL, lease));
}

static int mapping_delete(const struct dialogue *dialogue, const struct request_port *port)
{
    const struct igd *igd = dialogue->igd;
    char outer[8];
    snprintf(outer, sizeof outer, "%u", port->outer);
    return dialogue_result(UPNP_DeletePortMapping(
        igd->urls.controlURL, igd->data.first.servicetype, outer, TCP, NULL));
}

/* --- one port ------------------------------------------------------------------------- */

/* Routers without leases should answer 725; some have other words for it. Once a mapping
 * was granted, it is not that. */
static int mapping_add_any(struct dialogue *dialogue, const struct request_port *port)
{
    int result = mapping_add(dialogue, port);
    bool is_refused = result == PERMANENT || result == 402 || result == 501;
    if (!is_refused || dialogue->lease == 0 || dialogue->is_lease_known)
        return result;

    uint32_t wished = dialogue->lease;
    dialogue->lease = 0;
    int second = mapping_add(dialogue, port);
    if (second == 0)
        return 0;
    dialogue->lease = wished;
    return result;
}

/* The outer port is taken, by a mapping that may be ours. Some routers refuse to renew one
 * that exists. */
static int taken_solve(struct dialogue *dialogue, const struct request_port *port,
                       struct answer_port *ret)
{
    struct entry entry;
    if (entry_get(dialogue, port, &entry) != 0)
        return TAKEN;
    if (!entry.is_ours) {
        ret->has_holder = true;
        ret->holder = entry.client;
        return TAKEN;
    }
    if (entry.is_foreign) {
        ret->is_foreign = true;
        ret->has_lease = true;
        ret->lease = entry.lease;
        return 0;
    }
    int result = mapping_delete(dialogue, port);
    return result != 0 ? result : mapping_add_any(dialogue, port);
}

/* The reply to a request does not tell the lease, and says little: the first mapping is
 * read back. Routers that do not tell it are believed. */
static int lease_learn(struct dialogue *dialogue, const struct request_port *port,
                       struct answer_port *ret)
{
    struct entry entry;
    dialogue->is_lease_known = true;
    dialogue->lease_granted = dialogue->lease;
    if (entry_get(dialogue, port, &entry) != 0)
        return 0;
    if (!entry.is_ours) {
        dialogue->is_lease_known = false;
        ret->has_holder = true;
        ret->holder = entry.client;
        return TAKEN;
    }
    dialogue->lease_granted = entry.lease;
    return 0;
}

void port_mapping_make(struct dialogue *dialogue, const struct request_port *port,
                       struct answer_port *ret)
{
    struct entry entry;
    if (dialogue->request->is_renewal && !dialogue->was_looked_up) {
        dialogue->was_looked_up = true;
        ret->was_gone = entry_get(dialogue, port, &entry) == NOT_THERE;
    }
    ret->result = mapping_add_any(dialogue, port);
    if (ret->result == TAKEN)
        ret->result = taken_solve(dialogue, port, ret);
    if (ret->result == 0 && !ret->is_foreign && !dialogue->is_lease_known)
        ret->result = lease_learn(dialogue, port, ret);
    if (ret->result == 0 && !ret->has_lease) {
        ret->has_lease = true;
        ret->lease = dialogue->lease_granted;
    }
}

/* Only a mapping that leads to us is deleted. One that is gone needs no removal, and
 * neither does one that has become another machine's. At an address that this machine has
 * no longer, another one may be: only a mapping with our description is deleted there. */
void port_mapping_remove(struct dialogue *dialogue, const struct request_port *port,
                         struct answer_port *ret)
{
    struct entry entry;
    const struct request *request = dialogue->request;
    bool is_former = !address_equals(&request->client, &request->local);
    int found = entry_get(dialogue, port, &entry);
    ret->result = 0;
    if (found == NOT_THERE || (found == 0 && !entry.is_ours))
        return;
    if (is_former && (found != 0 || !entry.is_described)) {
        ret->result = ANSWER_SILENT;
        return;
    }
    ret->result = mapping_delete(dialogue, port);
    if (ret->result == NOT_THERE)
        ret->result = 0;
}
