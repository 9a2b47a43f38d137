/* SPDX-License-Identifier: MIT */
#include "verifier/mapping_text.h"

/* --- all ports ------------------------------------------------------------------------ */

static void count_put(const struct family_report *family, struct text *text)
{
    const struct mapping_summary *mapping = &family->mapping;
    if (!mapping->has_protocol)
        return;
    text_printf(text, "%zu of %zu port%s mapped", mapping->mapped, mapping->asked,
                mapping->asked == 1 ? "" : "s");
    if (mapping->is_kept && mapping->mapped > 0)
        text_append_str(text, ", which stay after the end");
    if (mapping->is_kept && mapping->lease > 0)
        text_printf(text, " for %u s", mapping->lease);
}

static void fault_put(const struct family_report *family, struct text *text)
{
    static const char *const sentences[] = {
        [MAPPING_FAULT_NONE] = "",
        [MAPPING_FAULT_NO_ROUTER] = "nothing there speaks PCP, NAT-PMP or UPnP: switch on "
                                    "one of them in the router",
        [MAPPING_FAULT_NOT_CONNECTED] = "the router forwards nothing, because it has no "
                                        "connection to the internet, or no "
                                        "public outer address",
        [MAPPING_FAULT_UPNP_MISSING] =
            "it speaks neither PCP nor NAT-PMP; for UPnP, install port-verifier-upnp",
        [MAPPING_FAULT_FAILED] =
            "asking it to forward the ports failed: run port-verifier again",
    };
    enum mapping_fault fault = family->mapping.fault;
    if (!family->mapping.has_router) {
        text_append_str(text, "no router to map the ports: this machine has no default "
                              "gateway");
        return;
    }
    text_append_str(text, sentences[fault]);
    if (fault != MAPPING_FAULT_NONE && fault != MAPPING_FAULT_NOT_CONNECTED)
        text_append_str(text, family->which == FAMILY_4 ? ", or forward the ports by hand"
                                                        : ", or open the ports by hand");
}

static bool are_all_good(const struct family_report *family)
{
    for (size_t i = 0; i < family->port_count; i++)
        if (!family->findings[i].is_good)
            return false;
    return true;
}

void mapping_text_put(const struct family_report *family, struct text *text)
{
    const struct mapping_summary *mapping = &family->mapping;
    if (!mapping->is_there)
        return;
    count_put(family, text);
    if (are_all_good(family))
        return;
    if (mapping->has_protocol && mapping->fault != MAPPING_FAULT_NONE)
        text_append_str(text, "; ");
    fault_put(family, text);
}

/* --- ports that are not mapped -------------------------------------------------------- */

static bool is_alike(const struct mapping_view *a, const struct mapping_view *b)
{
    return b->is_asked && a->state == b->state && a->result == b->result &&
           a->has_holder == b->has_holder &&
           (!a->has_holder || address_equals(&a->holder, &b->holder));
}

static uint16_t alike_pick(const struct family_report *family, size_t index,
                           const void *ctx)
{
    const struct mapping_view *first = ctx;
    return is_alike(first, &family->local[index].mapped) ? family->ports[index] : 0;
}

static bool is_told_before(const struct family_report *family, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (is_alike(&family->local[index].mapped, &family->local[i].mapped))
            return true;
    return false;
}

/* Routers that have no public address refuse in the words of those that do not allow it. */
static const char *refusal_of(const struct family_report *family,
                              enum router_meaning meaning)
{
    bool is_behind = family->router.outer == ROUTER_OUTER_PRIVATE ||
                     family->router.outer == ROUTER_OUTER_CARRIER;
    switch (meaning) {
    case ROUTER_REFUSES:
        if (is_behind && family->mapping.mapped == 0)
            return "the router has no public outer address";
        return "refused by the router, which has to allow this machine to map ports";
    case ROUTER_OFFLINE:
        return "the router has no connection, or no public outer address";
    case ROUTER_FAR:
        return "another router with NAT lies between this machine and the one that "
               "answered";
    case ROUTER_LACKS:
        return "the router does not support this";
    case ROUTER_GRANTED:
    case ROUTER_FULL:
    case ROUTER_TAKEN:
    case ROUTER_MISUNDERSTOOD:
        break;
    }
    return "refused by the router";
}

static void reason_put(const struct family_report *family,
                       const struct mapping_view *mapped, struct text *text)
{
    bool is_any_mapped = family->mapping.mapped > 0;
    char holder[ADDRESS_TEXT_SIZE];
    switch (mapped->state) {
    case MAPPING_OTHER_PORT:
        if (mapped->has_holder)
            text_printf(text, "held by %s", address_format(&mapped->holder, holder));
        else
            text_append_str(text, "used by another machine or by the router itself");
        break;
    case MAPPING_FULL:
        text_append_str(text, is_any_mapped ? "the table of the router is full"
                                            : "the router has no room for mappings, or no "
                                              "public outer address");
        break;
    case MAPPING_REFUSED:
        text_append_str(text, refusal_of(family, mapped->meaning));
        break;
    case MAPPING_SHORT_LEASE:
        text_printf(text, "forwarded for %u s at a time, which is too short",
                    mapped->lease);
        break;
    case MAPPING_OFFLINE:
        text_append_str(text, refusal_of(family, ROUTER_OFFLINE));
        break;
    case MAPPING_SILENT:
    case MAPPING_WAITING:
        text_append_str(text, "the router did not answer");
        break;
    case MAPPING_MAPPED:
    case MAPPING_REMOVED:
        break;
    }
    bool is_code = mapped->result && mapped->meaning != ROUTER_GRANTED;
    if (is_code)
        text_printf(text, " (%s)", mapped->result);
}

bool mapping_text_put_next(const struct family_report *family, size_t *at,
                           struct text *text)
{
    bool is_told = family->mapping.fault != MAPPING_FAULT_NONE; /* of all ports at once */
    for (; *at < family->port_count && !is_told; ++*at) {
        const struct mapping_view *mapped = &family->local[*at].mapped;
        if (!mapped->is_asked || mapped->state == MAPPING_MAPPED ||
            is_told_before(family, *at))
            continue;
        report_format_ports(family, alike_pick, mapped, text);
        text_append_str(text, ": ");
        reason_put(family, mapped, text);
        ++*at;
        return true;
    }
    return false;
}
