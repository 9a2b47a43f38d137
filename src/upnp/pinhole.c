/* SPDX-License-Identifier: MIT */
#include "upnp/pinhole.h"

#include "base/text.h"

#include <miniupnpc/upnpcommands.h>
#include <stdio.h>
#include <string.h>

#define TCP            "6"
#define ANY_PORT       "0"
#define LEASE_MAX      86400 /* WANIPv6FirewallControl 1 */

#define NOT_THERE      704 /* NoSuchEntry */
#define SAME_PORT_ONLY 724 /* SamePortValuesRequired */

static int pinhole_add(const struct dialogue *dialogue, const struct request_port *port,
                       uint32_t lease, struct answer_port *ret)
{
    const struct igd *igd = dialogue->igd;
    char inner[8], seconds[12], id[16] = "";
    uint64_t number;
    snprintf(inner, sizeof inner, "%u", port->inner);
    snprintf(seconds, sizeof seconds, "%u", lease);
    int result = dialogue_result(
        UPNP_AddPinhole(igd->urls.controlURL_6FC, igd->data.IPv6FC.servicetype, "empty",
                        ANY_PORT, dialogue->local, inner, TCP, seconds, id));
    if (result == 0 && !text_parse_u64(id, strlen(id), UINT16_MAX, &number))
        return ANSWER_SILENT;
    if (result == 0) {
        ret->has_pinhole = true;
        ret->pinhole = (uint16_t)number;
    }
    return result;
}

static int pinhole_update(const struct dialogue *dialogue, uint16_t pinhole, uint32_t lease)
{
    const struct igd *igd = dialogue->igd;
    char id[8], seconds[12];
    snprintf(id, sizeof id, "%u", pinhole);
    snprintf(seconds, sizeof seconds, "%u", lease);
    return dialogue_result(UPNP_UpdatePinhole(igd->urls.controlURL_6FC,
                                              igd->data.IPv6FC.servicetype, id, seconds));
}

static int pinhole_delete(const struct dialogue *dialogue, uint16_t pinhole)
{
    const struct igd *igd = dialogue->igd;
    char id[8];
    snprintf(id, sizeof id, "%u", pinhole);
    return dialogue_result(
        UPNP_DeletePinhole(igd->urls.controlURL_6FC, igd->data.IPv6FC.servicetype, id));
}

/* A packet filter does not change ports. */
void pinhole_make(struct dialogue *dialogue, const struct request_port *port,
                  struct answer_port *ret)
{
    uint32_t lease = dialogue->lease < LEASE_MAX ? dialogue->lease : LEASE_MAX;
    ret->result = SAME_PORT_ONLY;
    if (port->outer != port->inner)
        return;

    ret->result = NOT_THERE;
    if (port->has_pinhole)
        ret->result = pinhole_update(dialogue, port->pinhole, lease);
    ret->has_pinhole = ret->result == 0;
    ret->pinhole = port->pinhole;
    ret->was_gone = port->has_pinhole && ret->result == NOT_THERE;
    if (ret->result != 0 && ret->result != ANSWER_SILENT)
        ret->result = pinhole_add(dialogue, port, lease, ret);
    ret->has_lease = ret->result == 0;
    ret->lease = lease;
}

/* Without its number: a router that has this pinhole already answers with the number of
 * that, and any other makes one that is deleted at once. */
void pinhole_remove(struct dialogue *dialogue, const struct request_port *port,
                    struct answer_port *ret)
{
    struct answer_port added = {.has_pinhole = port->has_pinhole, .pinhole = port->pinhole};
    const struct request *request = dialogue->request;
    ret->result = ANSWER_SILENT; /* without its number, one of a former address */
    if (port->has_pinhole)
        ret->result = 0;
    else if (address_equals(&request->client, &request->local))
        ret->result = pinhole_add(dialogue, port, 1, &added);
    if (ret->result == 0)
        ret->result = pinhole_delete(dialogue, added.pinhole);
    if (ret->result == NOT_THERE)
        ret->result = 0;
}
