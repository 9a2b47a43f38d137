/* SPDX-License-Identifier: MIT
 *
 * Judges the ports of one family, and groups those that are alike.
 */
#include "verifier/report.h"

#include "base/err.h"
#include "verifier/ports.h"
#include "verifier/report_places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_GROUP SIZE_MAX

/* --- groups --------------------------------------------------------------------------- */

static bool witnesses_alike(const struct family_report *family, size_t a, size_t b)
{
    const struct remote_verdict *one = report_witness(family, a);
    const struct remote_verdict *other = report_witness(family, b);
    if (!one || !other)
        return one == other;
    return one->state == other->state && strcmp(one->words, other->words) == 0 &&
           strcmp(one->icmp, other->icmp) == 0 &&
           one->is_icmp_from_target == other->is_icmp_from_target &&
           one->is_undecided == other->is_undecided &&
           (one->proof == PROOF_RESET) == (other->proof == PROOF_RESET);
}

/* The same checkers reached both ports. */
static bool reached_alike(const struct family_report *family, size_t a, size_t b)
{
    for (size_t i = 0; i < family->checker_count; i++)
        if (report_reached(family, i, a) != report_reached(family, i, b))
            return false;
    return true;
}

static bool led_alike(const struct family_report *family, size_t a, size_t b,
                      bool has_one_place)
{
    int one = family->findings[a].leads_to;
    int other = family->findings[b].leads_to;
    return has_one_place ? one == other
                         : one - family->ports[a] == other - family->ports[b];
}

static bool owners_alike(const struct owner *a, const struct owner *b)
{
    if (a->use != b->use || a->is_on_all != b->is_on_all ||
        a->has_waiting != b->has_waiting || a->address_count != b->address_count ||
        strcmp(a->name, b->name) != 0)
        return false;
    for (size_t i = 0; i < a->address_count; i++)
        if (!address_equals(&a->addresses[i], &b->addresses[i]))
            return false;
    return true;
}

static bool mapped_alike(const struct mapping_view *a, const struct mapping_view *b)
{
    return a->is_asked == b->is_asked && a->state == b->state && a->result == b->result &&
           a->has_holder == b->has_holder &&
           (!a->has_holder || address_equals(&a->holder, &b->holder));
}

static bool held_alike(const struct local_port *a, const struct local_port *b)
{
    return a->binding == b->binding && a->errnum == b->errnum &&
           a->privileged_below == b->privileged_below &&
           owners_alike(&a->owner, &b->owner) && a->is_declared == b->is_declared &&
           port_filter_equals(&a->filter, &b->filter) &&
           mapped_alike(&a->mapped, &b->mapped);
}

static bool belongs(const struct family_report *family, const struct port_group *group,
                    size_t index)
{
    size_t first = group->first;
    const struct finding *a = &family->findings[first];
    const struct finding *b = &family->findings[index];
    if (a->cause != b->cause)
        return false;
    if (a->cause == CAUSE_UNKNOWN)
        return true;
    if (a->is_good != b->is_good || a->is_proved != b->is_proved ||
        a->was_proved != b->was_proved ||
        family->is_advertised[first] != family->is_advertised[index] ||
        family->inner[first] - family->ports[first] !=
            family->inner[index] - family->ports[index] ||
        !held_alike(&family->local[first], &family->local[index]) ||
        !report_places_alike(family, first, index))
        return false;
    if (a->cause == CAUSE_OTHER_PORT)
        return led_alike(family, first, index, group->has_one_place);
    if (a->cause == CAUSE_NO_QUORUM)
        return reached_alike(family, first, index);
    if (a->cause == CAUSE_PLACES_DISAGREE)
        return true;
    return witnesses_alike(family, first, index);
}

/* How many ports the group would take, from its first one on. */
static size_t size_of(const struct family_report *family, const struct port_group *group)
{
    size_t size = 0;
    for (size_t i = group->first; i < family->port_count; i++)
        size += family->group_of[i] == NO_GROUP && belongs(family, group, i);
    return size;
}

static struct port_group group_from(const struct family_report *family, size_t first)
{
    struct port_group equally_far = {.first = first};
    struct port_group one_place = {.first = first, .has_one_place = true};
    if (family->findings[first].cause == CAUSE_OTHER_PORT &&
        size_of(family, &one_place) > size_of(family, &equally_far))
        return one_place;
    return equally_far;
}

static void groups_make(struct family_report *family)
{
    family->group_count = 0;
    for (size_t i = 0; i < family->port_count; i++)
        family->group_of[i] = NO_GROUP;

    for (size_t i = 0; i < family->port_count; i++) {
        if (family->group_of[i] != NO_GROUP)
            continue;
        struct port_group *group = &family->groups[family->group_count];
        *group = group_from(family, i);
        for (size_t j = i; j < family->port_count; j++) {
            if (family->group_of[j] != NO_GROUP || !belongs(family, group, j))
                continue;
            family->group_of[j] = family->group_count;
            group->count++;
        }
        family->group_count++;
    }
}

/* --- judging -------------------------------------------------------------------------- */

/* A checker on this machine uses the same port by default. */
static bool is_checker(const struct family_report *family, size_t index)
{
    if (strcmp(family->local[index].owner.name, "port-checker") == 0)
        return true;
    for (size_t i = 0; i < family->checker_count; i++) {
        const struct checker_result *result = &family->checkers[i].result;
        if (result->has_local && result->vantage == VANTAGE_MACHINE &&
            address_port(&result->peer_address) == family->inner[index])
            return true;
    }
    return false;
}

static bool is_provider(const struct family_report *family, size_t index)
{
    return family->inner[index] == PROVIDER_PORT && !is_checker(family, index);
}

/* Another program of this machine has the port, or gets what is sent to it. */
static bool is_elsewhere(const struct local_port *local)
{
    return local->binding == BINDING_IN_USE || local->filter.is_led;
}

static bool may_be_advertised(const struct family_report *family, size_t index)
{
    enum binding binding = family->local[index].binding;
    bool is_ours = binding == BINDING_BOUND && !family->local[index].filter.is_led;
    return is_ours || binding == BINDING_NONE || family->findings[index].is_proved ||
           is_provider(family, index) || family->local[index].is_declared;
}

/* Every required port is good, and if other ports are listed, at least one of them. */
static bool family_is_ok(const struct family_report *family, const uint16_t *required,
                         size_t required_count)
{
    size_t others = 0;
    size_t good_others = 0;
    for (size_t i = 0; i < family->port_count; i++) {
        size_t ignored;
        bool is_good = family->findings[i].is_good;
        bool is_required = ports_find(required, required_count, family->ports[i], &ignored);
        if (is_required && !is_good)
            return false;
        others += !is_required;
        good_others += !is_required && is_good;
    }
    return others == 0 || good_others > 0;
}

/* A checker that misses its places for every port has not answered. */
static bool has_decided(const struct diagnosis *diagnosis)
{
    for (size_t i = 0; i < diagnosis->remote_count; i++)
        for (size_t j = 0; j < diagnosis->port_count; j++)
            if (!diagnosis->remotes[i][j].is_undecided)
                return true;
    return false;
}

static bool has_vantage_outside(const struct family_report *family)
{
    for (size_t i = 0; i < family->checker_count; i++)
        if (family->checkers[i].result.verdicts &&
            family->checkers[i].result.vantage == VANTAGE_INTERNET)
            return true;
    return false;
}

/* A handshake is a checker's if it came from the address at which we reached that checker,
 * or from a router of ours that translates what comes in. */
static bool is_origin(const struct family_report *family, const struct address *from)
{
    if (family->has_gateway && address_equals(&family->gateway, from))
        return true;
    for (size_t i = 0; i < family->checker_count; i++) {
        const struct checker_result *result = &family->checkers[i].result;
        struct address peer = address_unmap(&result->peer_address);
        if (result->has_local && address_equals(&peer, from))
            return true;
    }
    return false;
}

static void local_judge(struct family_report *family, const struct report_policy *policy)
{
    for (size_t i = 0; i < family->port_count; i++) {
        struct local_port *local = &family->local[i];
        size_t ignored;
        local->is_declared =
            ports_find(policy->in_use, policy->in_use_count, family->ports[i], &ignored);
        for (size_t j = 0; j < local->syn_count; j++)
            local->has_syn = local->has_syn || is_origin(family, &local->syn_from[j]);
    }
}

bool family_report_has_doubt(const struct family_report *family)
{
    for (size_t i = 0; i < family->checker_count; i++)
        for (size_t j = 0; j < family->port_count; j++) {
            const struct remote_verdict *verdict = report_verdict(family, i, j);
            bool is_open = verdict && verdict->state == PORT_STATE_OPEN;
            bool is_bound = family->local[j].binding == BINDING_BOUND;
            if (verdict && (!is_open || (is_bound && verdict->proof != PROOF_MATCH)))
                return true;
        }
    return false;
}

static bool has_same_place(const struct family_report *a, const struct family_report *b)
{
    return a->is_known && b->is_known && a->port_count == b->port_count &&
           a->has_public == b->has_public &&
           (!a->has_public || address_equals(&a->public_address, &b->public_address));
}

static bool has_reached_port(const struct family_report *family)
{
    for (size_t i = 0; i < family->port_count; i++)
        if (family->findings[i].reached > 0)
            return true;
    return false;
}

/* Checkers have a verdict, but each lacks places. */
static bool is_undecided(const struct family_report *family, size_t index)
{
    size_t undecided = 0;
    for (size_t i = 0; i < family->checker_count; i++) {
        const struct remote_verdict *verdict = report_verdict(family, i, index);
        if (!verdict || !report_counts(family, i))
            continue;
        if (!verdict->is_undecided)
            return false;
        undecided++;
    }
    return undecided > 0;
}

static void keep_undecided(struct family_report *family,
                           const struct family_report *earlier)
{
    for (size_t i = 0; i < family->port_count; i++) {
        struct finding *finding = &family->findings[i];
        if (!earlier->findings[i].is_good || !is_undecided(family, i))
            continue;
        finding->cause = CAUSE_LIMITED;
        finding->is_good = true;
        finding->is_proved = earlier->findings[i].is_proved;
        finding->was_proved = earlier->findings[i].was_proved;
        family->is_advertised[i] = earlier->is_advertised[i];
    }
}

bool report_is_kept(const struct family_report *family, size_t index)
{
    return family->findings[index].is_good &&
           family->findings[index].cause == CAUSE_LIMITED;
}

static void keep_rented(struct family_report *family, const struct family_report *earlier)
{
    for (size_t i = 0; i < family->port_count; i++) {
        struct finding *finding = &family->findings[i];
        if (!earlier->is_advertised[i] || !earlier->findings[i].was_proved)
            continue;
        if (finding->is_good && is_elsewhere(&family->local[i]) && !is_checker(family, i))
            family->is_advertised[i] = true;
        finding->was_proved = finding->was_proved || family->is_advertised[i];
    }
}

void report_keep(struct report *later, const struct report *earlier)
{
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        struct family_report *family = later->families[which];
        const struct family_report *was = earlier->families[which];
        if (!family || !was || !has_same_place(family, was))
            continue;
        family->was_reached = was->was_reached || has_reached_port(was);
        keep_undecided(family, was);
        keep_rented(family, was);
        family->is_ok = family_is_ok(family, later->required, later->required_count);
        groups_make(family);
    }
}

bool family_report_judge(struct family_report *family, const struct report_policy *policy,
                         struct err *err)
{
    const struct remote_verdict **remotes =
        calloc(family->checker_count + 1, sizeof *remotes);
    const struct place_table **places = calloc(family->checker_count + 1, sizeof *places);
    if (!remotes || !places) {
        free(remotes);
        free(places);
        return err_sys(err, ENOMEM, "report");
    }

    local_judge(family, policy);
    struct diagnosis diagnosis = {
        .port_count = family->port_count,
        .local = family->local,
        .remotes = remotes,
        .places = places,
        .quorum = policy->quorum,
    };
    bool has_outside = has_vantage_outside(family);
    family->counts_inside = policy->is_lan || !has_outside;
    for (size_t i = 0; i < family->checker_count; i++)
        if (report_counts(family, i)) {
            places[diagnosis.remote_count] = family->checkers[i].result.places;
            remotes[diagnosis.remote_count++] = family->checkers[i].result.verdicts;
        }
    family->is_known = has_decided(&diagnosis);
    family->is_inside = family->is_known && !policy->is_lan && !has_outside;
    diagnosis.is_inside = family->is_inside;
    diagnose(&diagnosis, family->findings);
    free(remotes);
    free(places);

    for (size_t i = 0; i < family->port_count; i++)
        family->is_advertised[i] =
            family->findings[i].is_good && may_be_advertised(family, i);
    for (size_t i = 0; i < family->port_count; i++)
        family->findings[i].was_proved = family->findings[i].is_proved;
    groups_make(family);
    family->is_ok =
        family->is_known && family_is_ok(family, policy->required, policy->required_count);
    clock_gettime(CLOCK_REALTIME, &family->time);
    return true;
}
