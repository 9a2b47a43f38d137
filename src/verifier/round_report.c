/* SPDX-License-Identifier: MIT */
#include "verifier/round_report.h"

#include "base/text.h"
#include "net/route.h"
#include "verifier/listeners.h"
#include "verifier/mappings.h"
#include "verifier/packet_filter_look.h"
#include "verifier/report.h"
#include "verifier/router_asks.h"

#include <stdlib.h>
#include <string.h>

#define RECEIPTS_MAX (64u << 20) /* of all checkers */

/* --- which checkers ------------------------------------------------------------------- */

static bool is_absent(const struct checker *checker)
{
    enum failure failure = checker_result(checker)->failure;
    return failure == FAILURE_NO_NAME || failure == FAILURE_NO_FAMILY;
}

struct checker *round_other_family(const struct round_parts *parts,
                                   const struct checker *checker)
{
    for (size_t i = 0; i < parts->checker_count; i++)
        if (parts->checkers[i] != checker && checker_is_same(parts->checkers[i], checker))
            return parts->checkers[i];
    return NULL;
}

/* If a checker or this machine lacks one family, that is not a failure as long as the other
 * works. A checker that lacks both is reported once, with IPv4. */
static bool is_reported(const struct round_parts *parts, const struct checker *checker)
{
    const struct checker *other = round_other_family(parts, checker);
    if (!other || !is_absent(checker))
        return true;
    return is_absent(other) && checker_family(checker) == FAMILY_4;
}

/* --- addresses ------------------------------------------------------------------------ */

static void addresses_note(struct family_report *family,
                           const struct checker_result *result)
{
    if (!family->has_public && result->has_public) {
        family->has_public = true;
        family->public_address = result->public_address;
    }
    if (!family->has_local && result->has_local) {
        family->has_local = true;
        family->local_address = result->local_address;
    }
}

/* Where this machine is. */
static void place_find(struct family_report *family)
{
    family->link = link_find(&family->local_address);
    for (size_t i = 0; i < family->checker_count && !family->has_gateway; i++)
        if (family->checkers[i].result.has_local)
            family->has_gateway =
                route_gateway(&family->checkers[i].result.peer_address, &family->gateway);
}

/* From the one that tells most about us to the one that tells least. */
enum rank {
    RANK_OUTSIDE, /* it answered, from the internet */
    RANK_INSIDE,  /* it answered */
    RANK_FAILED,
    RANK_HIDDEN, /* it cannot know us: what it sees never becomes our address */
};

static enum rank rank_of(const struct checker_result *result)
{
    if (result->failure == FAILURE_CALLER_HIDDEN)
        return RANK_HIDDEN;
    if (result->failure != FAILURE_NONE)
        return RANK_FAILED;
    return result->vantage == VANTAGE_INTERNET ? RANK_OUTSIDE : RANK_INSIDE;
}

static void addresses_collect(struct family_report *family)
{
    for (enum rank rank = RANK_OUTSIDE; rank < RANK_HIDDEN; rank++)
        for (size_t i = 0; i < family->checker_count; i++)
            if (rank_of(&family->checkers[i].result) == rank)
                addresses_note(family, &family->checkers[i].result);

    for (size_t i = 0; i < family->checker_count; i++) {
        const struct checker_result *result = &family->checkers[i].result;
        if (family->has_public && result->has_public &&
            result->vantage == VANTAGE_INTERNET &&
            !address_equals(&family->public_address, &result->public_address))
            signs_add(&family->signs, SIGN_ADDRESSES_DISAGREE);
    }
}

/* Our address as the internet sees it; NULL if no checker there told it. */
static const struct address *seen_from_internet(const struct family_report *family)
{
    for (size_t i = 0; i < family->checker_count; i++) {
        const struct checker_result *result = &family->checkers[i].result;
        if (family->has_public && result->has_public && rank_of(result) != RANK_HIDDEN &&
            result->vantage == VANTAGE_INTERNET &&
            address_equals(&result->public_address, &family->public_address))
            return &family->public_address;
    }
    return NULL;
}

/* --- the router ----------------------------------------------------------------------- */

/* What the router told when it mapped ports: PCP tells the outer address only then. */
static void mapping_collect(const struct mappings *mappings, struct family_report *family)
{
    struct router_answer *answer = &family->router.answer;
    family->mapping = mappings_summary(mappings, family->which);
    if (!answer->has_outer && family->mapping.has_outer) {
        answer->has_outer = true;
        answer->outer_address = family->mapping.outer;
    }
    family->router.is_offline = family->mapping.fault == MAPPING_FAULT_NOT_CONNECTED;
}

static bool former_collect(const struct mappings *mappings, struct family_report *family)
{
    size_t at = 0;
    uint16_t *ports;
    family->former = calloc(family->port_count + 1, sizeof *family->former);
    family->former_ports = ports = calloc(family->port_count + 1, sizeof *ports);
    if (!family->former || !ports)
        return false;
    for (struct former *former = family->former;
         mappings_former_next(mappings, family->which, &at, ports, former); former++) {
        ports += former->count;
        family->former_count++;
    }
    return true;
}

static void router_collect(const struct round_parts *parts, struct family_report *family)
{
    family->router = router_asks_view(parts->router_asks, family->which);
    if (parts->mappings)
        mapping_collect(parts->mappings, family);
    router_view_judge(&family->router, seen_from_internet(family));
    family->signs.bits |= router_view_signs(&family->router).bits;
}

/* --- the report ----------------------------------------------------------------------- */

static bool checkers_collect(const struct round_parts *parts, struct family_report *family)
{
    for (size_t i = 0; i < parts->checker_count; i++) {
        struct checker *checker = parts->checkers[i];
        if (checker_family(checker) != family->which || !is_reported(parts, checker))
            continue;
        struct report_checker *entry = &family->checkers[family->checker_count];
        entry->url = strdup(checker_url(checker));
        if (!entry->url)
            return false;
        entry->result = checker_take_result(checker);
        family->checker_count++;
    }
    addresses_collect(family);
    if (family->has_local)
        place_find(family);
    if (family->has_public && family->has_local) {
        struct signs signs =
            signs_read(&family->local_address, family->link.kind, &family->public_address);
        family->signs.bits |= signs.bits;
    }
    router_collect(parts, family);
    return !parts->mappings || former_collect(parts->mappings, family);
}

void round_local(const struct round_parts *parts, enum family which, struct local_port *ret)
{
    const struct arguments *arguments = parts->arguments;
    const struct local_port *held = listeners_local(parts->listeners, which);
    for (size_t i = 0; i < arguments->port_count; i++) {
        ret[i] = held[arguments->held_index[i]];
        if (parts->mappings)
            ret[i].mapped = mappings_view(parts->mappings, which, i);
    }
}

/* The connections of checkers, as the packet filter of this machine sees them. A checker
 * probes from the address at which it was reached; its places do not. */
static struct filter_view view_of(const struct family_report *family)
{
    struct filter_view view = {
        .family = family_domain(family->which),
        .has_address = family->has_local,
        .address = family->local_address,
        .interface = family->link.name,
    };
    for (size_t i = 0; i < family->checker_count; i++) {
        const struct checker_result *result = &family->checkers[i].result;
        if (!result->verdicts)
            continue;
        if (!result->has_local || result->places ||
            view.source_count == FILTER_SOURCES_MAX) {
            view.source_count = 0;
            break;
        }
        view.sources[view.source_count++] = address_unmap(&result->peer_address);
    }
    return view;
}

static bool family_make(const struct round_parts *parts, enum family which,
                        struct family_report **ret)
{
    const struct arguments *arguments = parts->arguments;
    struct family_report *family;
    if (!family_report_new(which, arguments->ports, arguments->port_count,
                           parts->checker_count, &family, NULL))
        return false;

    round_local(parts, which, family->local);
    memcpy(family->inner, arguments->inner, arguments->port_count * sizeof *family->inner);
    const struct report_policy policy = {
        .quorum = arguments->quorum,
        .required = arguments->required,
        .required_count = arguments->required_count,
        .in_use = arguments->in_use,
        .in_use_count = arguments->in_use_count,
        .is_lan = arguments->is_lan,
    };
    if (!checkers_collect(parts, family)) {
        family_report_free(family);
        return false;
    }
    /* Rules for what arrives from outside tell nothing of the loopback interface. */
    bool is_outside = !family->has_local || !address_is_loopback(&family->local_address);
    if (is_outside && family_report_has_doubt(family)) {
        const struct filter_view view = view_of(family);
        packet_filter_look(&view, family->inner, family->port_count, family->local);
    }
    if (!family_report_judge(family, &policy, NULL)) {
        family_report_free(family);
        return false;
    }
    if (family->checker_count == 0)
        family = family_report_free(family);
    *ret = family;
    return true;
}

/* Of a checker that has failed, the report says why. */
static bool receipts_collect(const struct round_parts *parts, struct report *report)
{
    AUTO_TEXT receipts = text_up_to(RECEIPTS_MAX);
    AUTO_TEXT missing = text_up_to(RECEIPTS_MAX);
    size_t len;
    if (!parts->arguments->receipt)
        return true;
    for (size_t i = 0; i < parts->checker_count; i++) {
        const struct checker *checker = parts->checkers[i];
        const char *given = checker_receipts(checker);
        if (given[0])
            text_append_str(&receipts, given);
        else if (checker_result(checker)->failure == FAILURE_NONE)
            text_printf(&missing, "%s: no receipt: %s\n", checker_url(checker),
                        checker_no_receipt(checker));
    }
    report->receipts = text_take(&receipts, &len);
    report->no_receipts = text_take(&missing, &len);
    return report->receipts && report->no_receipts;
}

struct report *round_report(const struct round_parts *parts)
{
    const struct arguments *arguments = parts->arguments;
    struct report *report;
    if (!report_new(arguments->required, arguments->required_count, &report, NULL))
        return NULL;

    report->quorum = arguments->quorum;
    if (!receipts_collect(parts, report))
        return report_free(report);
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        if (!family_make(parts, family, &report->families[family]))
            return report_free(report);
    report->duration = instant_since(clock_now(), parts->start);
    return report;
}
