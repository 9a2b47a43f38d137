/* SPDX-License-Identifier: MIT */
#include "verifier/port_groups.h"

#include "verifier/report.h"

#include <string.h>

#define NO_GROUP SIZE_MAX

static bool witnesses_alike(const struct family_report *family, size_t a, size_t b)
{
    const struct remote_verdict *one = report_witness(family, a);
    const struct remote_verdict *other = report_witness(family, b);
    if (!one || !other)
        return one == other;
    return one->state == other->state && strcmp(one->words, other->words) == 0;
}

/* The same checkers reached both, and the same did not. */
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

static bool held_alike(const struct local_port *a, const struct local_port *b)
{
    return a->binding == b->binding && a->errnum == b->errnum &&
           a->owner.is_listening == b->owner.is_listening &&
           a->owner.is_loopback_only == b->owner.is_loopback_only &&
           strcmp(a->owner.name, b->owner.name) == 0;
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
        family->is_advertised[first] != family->is_advertised[index] ||
        !held_alike(&family->local[first], &family->local[index]))
        return false;
    if (a->cause == CAUSE_OTHER_PORT)
        return led_alike(family, first, index, group->has_one_place);
    if (a->cause == CAUSE_NO_QUORUM)
        return reached_alike(family, first, index);
    return witnesses_alike(family, first, index);
}

/* How many ports from its first one on the group would take. */
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

void port_groups_make(struct family_report *family)
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
