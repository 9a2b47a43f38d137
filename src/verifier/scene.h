/* SPDX-License-Identifier: MIT
 *
 * A group of ports as the sentences of causes.def see it: the conditions and the words of
 * scene.def. Pure.
 */
#pragma once

#include "base/template.h"
#include "verifier/report.h"

#include <stddef.h>
#include <stdint.h>

enum condition_index {
#define CONDITION(NAME, ...) CONDITION_##NAME,
#include "verifier/scene.def"
    CONDITION_COUNT
};

/* Bits of a set, which an int has not enough of. */
__extension__ enum condition {
#define CONDITION(NAME, ...) WHEN_##NAME = 1ull << CONDITION_##NAME,
#include "verifier/scene.def"
};

/* All borrowed. */
struct scene {
    const struct report *report;
    const struct family_report *family;
    const struct port_group *group;
    size_t count;                  /* of the ports that {are}, {it} and {s} refer to */
    const struct finding *finding; /* of the group's first port, as are the next two */
    const struct local_port *local;
    const struct remote_verdict *witness; /* or NULL */
};

struct scene scene_of(const struct report *report, const struct family_report *family,
                      const struct port_group *group);

/* The conditions that are true. */
uint64_t scene_conditions(const struct scene *scene);

/* For template_expand(), with a scene as its context. */
extern const struct template_word scene_words[];
