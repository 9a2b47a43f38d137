/* SPDX-License-Identifier: MIT */
#include "vantage/quorum.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

size_t quorum_needed(size_t places, size_t wanted)
{
    if (wanted > 0)
        return wanted < places ? wanted : places;
    return places - (places < 2 ? 0 : places < 6 ? 1 : 2);
}

struct tally {
    size_t open;
    size_t undecided; /* missing or limited */
    size_t present;
};

static struct tally count(const struct port_verdict *const verdicts[], size_t places)
{
    struct tally tally = {0};
    for (size_t i = 0; i < places; i++) {
        const struct port_verdict *verdict = verdicts[i];
        tally.present += verdict != NULL;
        if (!verdict || verdict->state == PORT_STATE_LIMITED)
            tally.undecided++;
        else if (verdict->state == PORT_STATE_OPEN)
            tally.open++;
    }
    return tally;
}

static const struct port_verdict *first_of(const struct port_verdict *const verdicts[],
                                           size_t count, enum port_state state)
{
    for (size_t i = 0; i < count; i++)
        if (verdicts[i] && verdicts[i]->state == state)
            return verdicts[i];
    return NULL;
}

static bool is_negative(const struct port_verdict *verdict)
{
    return verdict && verdict->state != PORT_STATE_OPEN &&
           verdict->state != PORT_STATE_LIMITED;
}

static bool is_alike(const struct port_verdict *a, const struct port_verdict *b)
{
    return a->state == b->state &&
           strcmp(port_verdict_error(a), port_verdict_error(b)) == 0;
}

static const struct port_verdict *
commonest_negative(const struct port_verdict *const verdicts[], size_t count)
{
    const struct port_verdict *commonest = NULL;
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        size_t alike = 0;
        for (size_t j = i; is_negative(verdicts[i]) && j < count; j++)
            alike += is_negative(verdicts[j]) && is_alike(verdicts[i], verdicts[j]);
        if (alike > most) {
            most = alike;
            commonest = verdicts[i];
        }
    }
    return commonest;
}

struct port_verdict quorum_merge(const struct port_verdict *const verdicts[], size_t places,
                                 size_t needed)
{
    assert(places > 0 && verdicts[0] && needed > 0);
    struct tally tally = count(verdicts, places);
    if (tally.present == 1)
        return *verdicts[0];

    const struct port_verdict *like = tally.open >= needed
                                          ? first_of(verdicts, places, PORT_STATE_OPEN)
                                      : tally.open + tally.undecided < needed
                                          ? commonest_negative(verdicts, places)
                                          : first_of(verdicts, places, PORT_STATE_LIMITED);
    if (like)
        return *like;
    return (struct port_verdict){
        .port = verdicts[0]->port,
        .state = PORT_STATE_LIMITED,
        .errnum = ETIMEDOUT,
    };
}
