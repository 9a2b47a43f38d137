/* SPDX-License-Identifier: MIT */
#include "verifier/scene.h"

#include "base/libc.h"
#include "verifier/report_places.h"

#include <string.h>

struct scene scene_of(const struct report *report, const struct family_report *family,
                      const struct port_group *group)
{
    return (struct scene){
        .report = report,
        .family = family,
        .group = group,
        .count = group->count,
        .finding = &family->findings[group->first],
        .local = &family->local[group->first],
        .witness = report_witness(family, group->first),
    };
}

/* --- checkers that failed ------------------------------------------------------------- */

static const char *remedy_of(const struct family_report *family, size_t checker)
{
    return failure_remedy(family->checkers[checker].result.failure);
}

static bool remedies_equal(const struct family_report *family, size_t a, size_t b)
{
    return strcmp(remedy_of(family, a), remedy_of(family, b)) == 0;
}

static bool is_first_with_remedy(const struct family_report *family, size_t checker)
{
    size_t first = 0;
    while (!remedies_equal(family, first, checker))
        first++;
    return first == checker;
}

static void urls_put(const struct family_report *family, size_t first, struct text *text)
{
    for (size_t i = first; i < family->checker_count; i++)
        if (remedies_equal(family, first, i))
            text_printf(text, "%s%s", i == first ? "" : ", ", family->checkers[i].url);
}

/* Each remedy once; if there are several, each follows the URLs that it is for. */
static void checkers_put(const struct family_report *family, struct text *text)
{
    size_t count = 0;
    for (size_t i = 0; i < family->checker_count; i++)
        count += is_first_with_remedy(family, i);

    const char *between = "";
    for (size_t i = 0; i < family->checker_count; i++) {
        if (!is_first_with_remedy(family, i))
            continue;
        text_append_str(text, between);
        if (count > 1) {
            urls_put(family, i, text);
            text_append_str(text, ": ");
        }
        text_append_str(text, remedy_of(family, i));
        between = "; ";
    }
}

/* Those that judged the group and did not reach it. */
static void missing_put(const struct scene *scene, struct text *text)
{
    const struct family_report *family = scene->family;
    const size_t port = scene->group->first;
    const char *between = "";
    for (size_t i = 0; i < family->checker_count; i++) {
        if (!report_verdict(family, i, port) || report_reached(family, i, port))
            continue;
        text_printf(text, "%s%s", between, family->checkers[i].url);
        between = ", ";
    }
}

/* --- limits --------------------------------------------------------------------------- */

static bool is_limited_by(const struct scene *scene, size_t checker)
{
    const struct remote_verdict *verdict =
        report_verdict(scene->family, checker, scene->group->first);
    return verdict && verdict->state == PORT_STATE_LIMITED;
}

/* Of the first checker that met one. */
static void limit_put(const struct scene *scene, struct text *text)
{
    size_t i = 0;
    while (i < scene->family->checker_count && !is_limited_by(scene, i))
        i++;
    if (i == scene->family->checker_count)
        return;
    const struct remote_limit *limit = &scene->family->checkers[i].result.limit;
    text_printf(text, "%zu port%s judged before", limit->answered,
                limit->answered == 1 ? " was" : "s were");
    if (limit->rate > 0)
        text_printf(text, ", then %.1f a second", limit->rate);
}

/* A checker probes from the address at which it was reached, as far as is known here. */
static void probers_put(const struct scene *scene, struct text *text)
{
    const struct family_report *family = scene->family;
    const char *between = "the checker's address ";
    char ip[ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < family->checker_count; i++) {
        const struct checker_result *result = &family->checkers[i].result;
        if (!is_limited_by(scene, i) || !result->has_local)
            continue;
        text_printf(text, "%s%s", between, address_format(&result->peer_address, ip));
        between = " and ";
    }
    if (between[0] == 't')
        text_append_str(text, "the checker's address");
}

/* Why a checker did not come to the port; NULL if all did. */
static const char *left_out_by(const struct scene *scene)
{
    const struct family_report *family = scene->family;
    for (size_t i = 0; i < family->checker_count; i++) {
        const struct checker_result *result = &family->checkers[i].result;
        if (result->verdicts && result->verdicts[scene->group->first].is_unasked)
            return result->message;
    }
    return NULL;
}

static bool has_vantage(const struct family_report *family, enum vantage vantage)
{
    for (size_t i = 0; i < family->checker_count; i++)
        if (family->checkers[i].result.verdicts &&
            family->checkers[i].result.vantage == vantage)
            return true;
    return false;
}

static void words_put(const struct remote_verdict *witness, struct text *text)
{
    bool has_words = witness && witness->words[0];
    text_append_str(text, has_words ? witness->words : "no reason given");
}

static void places_put(const struct scene *scene, enum place_reach reach, struct text *text)
{
    report_places_put_names(scene->family, scene->group->first, reach, text);
}

/* --- ports ---------------------------------------------------------------------------- */

static uint16_t answering_pick(const struct family_report *family, size_t index,
                               const void *ctx)
{
    const struct remote_verdict *witness = report_witness(family, index);
    bool has_answered = witness && (witness->state == PORT_STATE_OPEN ||
                                    witness->state == PORT_STATE_CLOSED);
    (void)ctx;
    return has_answered ? family->ports[index] : 0;
}

static bool has_answering(const struct family_report *family)
{
    for (size_t i = 0; i < family->port_count; i++)
        if (answering_pick(family, i, NULL))
            return true;
    return false;
}

/* Connections from checkers come through to this machine, on whatever port. */
static bool has_reached(const struct family_report *family)
{
    for (size_t i = 0; i < family->port_count; i++)
        if (family->findings[i].reached > 0 ||
            family->findings[i].cause == CAUSE_OTHER_PORT)
            return true;
    return false;
}

enum can_map {
    CAN_MAP_NO,
    CAN_MAP_PERHAPS, /* over UPnP, which is not asked without --map */
    CAN_MAP_YES,     /* the router speaks a protocol for that */
};

/* Whether --map may help: nothing that the router says shows that it would not. */
static enum can_map can_map(const struct family_report *family)
{
    const struct router_view *router = &family->router;
    enum router_outer outer = family->router.outer;
    bool is_needed =
        family->which == FAMILY_6 || signs_have(family->signs, SIGN_ADDRESS_DIFFERS);
    bool may_help = outer == ROUTER_OUTER_UNKNOWN || outer == ROUTER_OUTER_PUBLIC ||
                    outer == ROUTER_OUTER_SAME;
    if (family->mapping.is_there || !is_needed || !may_help)
        return CAN_MAP_NO;
    if (router_view_can_map(router))
        return CAN_MAP_YES;
    return router->is_asked && !router_view_speaks(router) ? CAN_MAP_PERHAPS : CAN_MAP_NO;
}

/* A router that speaks no protocol may be that of a hosting provider. */
static void or_map_put(const struct scene *scene, struct text *text)
{
    switch (can_map(scene->family)) {
    case CAN_MAP_NO:
        return;
    case CAN_MAP_PERHAPS:
        text_printf(text,
                    ", or, if the router allows UPnP, PCP or NAT-PMP, run port-verifier "
                    "again with --map, or, on a rented server, allow %s in the firewall "
                    "(security group) of the hosting provider",
                    scene->count == 1 ? "it" : "them");
        return;
    case CAN_MAP_YES:
        text_append_str(text, ", or run port-verifier again with --map");
        return;
    }
}

static uint16_t leads_to_pick(const struct family_report *family, size_t index,
                              const void *ctx)
{
    const struct port_group *group = ctx;
    bool is_told = group->has_one_place ? index == group->first
                                        : &family->groups[family->group_of[index]] == group;
    return is_told ? family->findings[index].leads_to : 0;
}

static void led_to_put(const struct scene *scene, struct text *text)
{
    bool is_one = scene->count == 1 || scene->group->has_one_place;
    text_append_str(text, is_one ? "port " : "ports ");
    report_format_ports(scene->family, leads_to_pick, scene->group, text);
}

static void ports_put(const struct scene *scene, struct text *text)
{
    text_append_str(text, scene->count == 1 ? "port " : "ports ");
    report_format_group(scene->family, scene->group, text);
}

/* systemd itself holds a port until the service of a socket unit is started. */
static void owner_put(const struct owner *owner, const char *unit, const char *otherwise,
                      struct text *text)
{
    text_append_str(text, owner_is_systemd(owner) ? unit
                          : owner->name[0]        ? owner->name
                                                  : otherwise);
}

static void listens_at_put(const struct owner *owner, struct text *text)
{
    char ip[ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < owner->address_count; i++)
        text_printf(text, "%s%s", i > 0 ? " and " : "",
                    address_format(&owner->addresses[i], ip));
}

static void address_put(bool is_known, const struct address *address, const char *otherwise,
                        struct text *text)
{
    char ip[ADDRESS_TEXT_SIZE];
    text_append_str(text, is_known ? address_format(address, ip) : otherwise);
}

static uint16_t inner_pick(const struct family_report *family, size_t index,
                           const void *ctx)
{
    return &family->groups[family->group_of[index]] == ctx ? family->inner[index] : 0;
}

/* Where the ports of the group should lead. */
static void there_put(const struct scene *scene, struct text *text)
{
    const struct family_report *family = scene->family;
    bool is_same = family->inner[scene->group->first] == family->ports[scene->group->first];
    if (!is_same) {
        text_append_str(text, scene->count == 1 ? "port " : "ports ");
        report_format_ports(family, inner_pick, scene->group, text);
        text_append_str(text, " of ");
    }
    address_put(family->has_local, &family->local_address, "this machine", text);
    if (is_same)
        text_printf(text, " (same port number%s)", scene->count == 1 ? "" : "s");
}

static void by_hand_put(const struct scene *scene, struct text *text)
{
    bool is_forward = scene->family->which == FAMILY_4;
    text_printf(text, "in the router, %s TCP ", is_forward ? "forward" : "allow");
    ports_put(scene, text);
    text_append_str(text, " to ");
    there_put(scene, text);
    text_append_str(text, " by hand");
}

/* --- the tables of scene.def -----------------------------------------------------------
 */

uint64_t scene_conditions(const struct scene *scene)
{
    const struct family_report *family = scene->family;
    const struct local_port *local = scene->local;
    uint64_t conditions = 0;
#define CONDITION(NAME, is_true) conditions |= (is_true) ? WHEN_##NAME : 0ull;
#include "verifier/scene.def"
    return conditions;
}

#define WORD(name, put)                                                                    \
    static void put_##name(const void *ctx, struct text *text)                             \
    {                                                                                      \
        const struct scene *scene = ctx;                                                   \
        const struct family_report *family = scene->family;                                \
        const struct local_port *local = scene->local;                                     \
        (void)family, (void)local;                                                         \
        put;                                                                               \
    }
#include "verifier/scene.def"

const struct template_word scene_words[] = {
#define WORD(name, put) {#name, put_##name},
#include "verifier/scene.def"
    {NULL, NULL},
};
