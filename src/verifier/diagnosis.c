/* SPDX-License-Identifier: MIT */
#include "verifier/diagnosis.h"

#include <assert.h>

static const char *const cause_texts[] = {
#define CAUSE(NAME, name, ...) [CAUSE_##NAME] = (name),
#include "verifier/causes.def"
#undef CAUSE
};

const char *cause_text(enum cause cause)
{
    return cause_texts[cause];
}

/* Our listener on the probed port should have proved itself: the port does not lead
 * elsewhere, as far as we know or the user states. */
static bool should_prove(const struct local_port *local,
                         const struct remote_verdict *remote)
{
    return local->binding == BINDING_BOUND && remote->proof != PROOF_NONE &&
           !local->filter.is_led && !local->is_declared;
}

static bool has_proved(const struct local_port *local, const struct remote_verdict *remote)
{
    return local->binding == BINDING_BOUND && remote->proof == PROOF_MATCH;
}

bool diagnosis_is_reached(const struct local_port *local,
                          const struct remote_verdict *remote)
{
    if (remote->is_unknown || remote->state != PORT_STATE_OPEN ||
        remote->proof == PROOF_OTHER_PORT)
        return false;
    return !should_prove(local, remote) || remote->proof == PROOF_MATCH;
}

/* --- places --------------------------------------------------------------------------- */

enum place_reach diagnosis_place_reach(const struct local_port *local,
                                       const struct place_view *view)
{
    const struct remote_verdict verdict = {.state = view->state, .proof = view->proof};
    if (view->kind != PLACE_JUDGED || view->state == PORT_STATE_LIMITED)
        return REACH_NONE;
    return diagnosis_is_reached(local, &verdict) ? REACH_YES : REACH_NO;
}

struct place_tally diagnosis_tally(const struct place_table *places, size_t port,
                                   const struct local_port *local)
{
    struct place_tally tally = {0};
    for (size_t i = 0; i < place_table_count(places); i++) {
        struct place_view view = place_table_get(places, port, i);
        if (view.kind != PLACE_ABSENT)
            tally.counts[diagnosis_place_reach(local, &view)]++;
    }
    return tally;
}

bool place_tally_differs(const struct place_tally *tally)
{
    return tally->counts[REACH_YES] > 0 && tally->counts[REACH_NO] > 0;
}

/* Whether the places of any checker differ about the port. */
static bool places_differ(const struct diagnosis *diagnosis, size_t port)
{
    for (size_t i = 0; diagnosis->places && i < diagnosis->remote_count; i++) {
        struct place_tally tally =
            diagnosis_tally(diagnosis->places[i], port, &diagnosis->local[port]);
        if (!diagnosis->remotes[i][port].is_unknown && place_tally_differs(&tally))
            return true;
    }
    return false;
}

/* --- checkers ------------------------------------------------------------------------- */

static enum cause cause_of_open(const struct local_port *local,
                                const struct remote_verdict *remote)
{
    if (remote->proof == PROOF_OTHER_PORT)
        return CAUSE_OTHER_PORT;
    if (has_proved(local, remote))
        return CAUSE_GOOD;
    if (!should_prove(local, remote))
        return CAUSE_UNPROVED;
    return local->accepted > 0 ? CAUSE_PROOF_LOST : CAUSE_SOMEBODY_ELSE;
}

/* Rules that let a connection in are not what drops others. */
static bool is_dropped_here(const struct local_port *local)
{
    return local->filter.drop == FILTER_DROP_CERTAIN && local->accepted == 0;
}

/* What the verdict of one checker shows, with what was seen here. Whether all ports are
 * silent or only some is decided later, by silence_judge(). */
static enum cause cause_of(const struct local_port *local,
                           const struct remote_verdict *remote)
{
    switch (remote->state) {
    case PORT_STATE_OPEN:
        return cause_of_open(local, remote);
    case PORT_STATE_CLOSED:
        if (local->filter.is_led)
            return CAUSE_LED_AWAY;
        if (is_dropped_here(local))
            return CAUSE_HOST_FIREWALL;
        return local->binding == BINDING_BOUND || local->owner.use == OWNER_USE_LISTENER
                   ? CAUSE_REFUSED
                   : CAUSE_NOT_BOUND;
    case PORT_STATE_FILTERED:
        if (local->has_syn)
            return CAUSE_WAY_BACK;
        if (is_dropped_here(local))
            return CAUSE_HOST_FIREWALL;
        return local->owner.has_waiting ? CAUSE_NOT_ACCEPTED : CAUSE_NO_WAY_IN;
    case PORT_STATE_UNREACHABLE:
        if (local->filter.is_led && remote->is_icmp_from_target)
            return CAUSE_LED_AWAY;
        return is_dropped_here(local) ? CAUSE_HOST_FIREWALL : CAUSE_UNREACHABLE;
    case PORT_STATE_LIMITED:
        return CAUSE_LIMITED;
    case PORT_STATE_COUNT:
        break;
    }
    assert(false); /* reply.c has no other states */
    return CAUSE_UNKNOWN;
}

/* A proof was possible, but ours did not come. A checker that does not support proofs
 * (UNPROVED) may have reached the same stranger. */
static bool is_contradiction(enum cause cause)
{
    return cause == CAUSE_OTHER_PORT || cause == CAUSE_SOMEBODY_ELSE ||
           cause == CAUSE_PROOF_LOST;
}

static bool is_stronger(enum cause cause, enum cause than)
{
    if (than == CAUSE_UNPROVED && is_contradiction(cause))
        return true;
    if (cause == CAUSE_UNPROVED && is_contradiction(than))
        return false;
    return cause < than;
}

static struct finding port_judge(const struct diagnosis *diagnosis, size_t port)
{
    const struct local_port *local = &diagnosis->local[port];
    struct finding finding = {.cause = CAUSE_UNKNOWN};
    bool is_contradicted = false;

    for (size_t i = 0; i < diagnosis->remote_count; i++) {
        const struct remote_verdict *remote = &diagnosis->remotes[i][port];
        if (remote->is_unknown)
            continue;
        finding.asked++;
        enum cause cause = cause_of(local, remote);
        finding.reached += diagnosis_is_reached(local, remote);
        finding.is_proved = finding.is_proved || cause == CAUSE_GOOD;
        is_contradicted = is_contradicted || is_contradiction(cause);
        if (!is_stronger(cause, finding.cause))
            continue;
        finding.cause = cause;
        finding.witness = i;
        finding.leads_to = cause == CAUSE_OTHER_PORT ? remote->proof_port : 0;
    }
    finding.is_good =
        finding.reached >= diagnosis->quorum && (finding.is_proved || !is_contradicted);
    if (finding.is_good && diagnosis->is_inside) {
        finding.is_good = false;
        finding.cause = CAUSE_INSIDE_ONLY;
    } else if (!finding.is_good && finding.reached > 0 &&
               !is_contradiction(finding.cause)) {
        finding.cause = CAUSE_NO_QUORUM;
    } else if (!is_contradiction(finding.cause) && places_differ(diagnosis, port)) {
        finding.cause = CAUSE_PLACES_DISAGREE;
    }
    return finding;
}

/* If all ports are silent, that has another cause than if only some are. */
static void silence_judge(struct finding *findings, size_t count)
{
    size_t silent = 0;
    for (size_t i = 0; i < count; i++)
        silent += findings[i].cause == CAUSE_NO_WAY_IN ||
                  findings[i].cause == CAUSE_NOT_ACCEPTED ||
                  findings[i].cause == CAUSE_HOST_FIREWALL;
    if (silent == count)
        return;

    for (size_t i = 0; i < count; i++)
        if (findings[i].cause == CAUSE_NO_WAY_IN)
            findings[i].cause = CAUSE_NOT_FORWARDED;
}

/* Nothing arrived here: silent, or closed without a reason that the network gives, although
 * we listen and would have accepted it. */
static bool is_kept_out(enum cause cause, const struct local_port *local,
                        const struct remote_verdict *witness)
{
    return local->accepted == 0 &&
           (cause == CAUSE_NO_WAY_IN || cause == CAUSE_NOT_FORWARDED ||
            (cause == CAUSE_REFUSED && local->binding == BINDING_BOUND &&
             !witness->icmp[0]));
}

/* What the router said about a port that is not reached. */
static enum cause cause_of_mapping(const struct mapping_view *mapped, enum cause otherwise)
{
    switch (mapped->state) {
    case MAPPING_MAPPED:
        return CAUSE_MAPPED_NO_WAY_IN;
    case MAPPING_OTHER_PORT:
    case MAPPING_FULL:
    case MAPPING_REFUSED:
    case MAPPING_SHORT_LEASE:
    case MAPPING_OFFLINE:
        return CAUSE_MAPPING_REFUSED;
    case MAPPING_WAITING:
    case MAPPING_SILENT:
    case MAPPING_REMOVED:
        break;
    }
    return otherwise;
}

static void mappings_judge(const struct diagnosis *diagnosis, struct finding *findings)
{
    for (size_t i = 0; i < diagnosis->port_count; i++) {
        const struct local_port *local = &diagnosis->local[i];
        struct finding *finding = &findings[i];
        if (local->mapped.is_asked && finding->asked > 0 &&
            is_kept_out(finding->cause, local, &diagnosis->remotes[finding->witness][i]))
            finding->cause = cause_of_mapping(&local->mapped, finding->cause);
    }
}

void diagnose(const struct diagnosis *diagnosis, struct finding *ret)
{
    assert(diagnosis->quorum > 0);
    for (size_t i = 0; i < diagnosis->port_count; i++)
        ret[i] = port_judge(diagnosis, i);
    silence_judge(ret, diagnosis->port_count);
    mappings_judge(diagnosis, ret);
}
