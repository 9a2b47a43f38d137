/* SPDX-License-Identifier: MIT */
#include "verifier/advice.h"

#include "verifier/report_places.h"
#include "verifier/scene.h"

#include <assert.h>
#include <stddef.h>

#define ROWS_MAX 48 /* of one cause; tests/unit/test_advice.c reads them all */

/* clang-format off */
static const struct advice_row table[][ROWS_MAX] = {
#define CAUSE(NAME, name, ...) [CAUSE_##NAME] = {__VA_ARGS__},
#include "verifier/causes.def"
#undef CAUSE
};

static const char *const label_ends[] = {
#define X(NAME, name, label_end) [BINDING_##NAME] = (label_end),
    BINDING_MAP(X)
#undef X
};
/* clang-format on */

static const char *part_of(const struct advice_row *row, enum advice_part part)
{
    switch (part) {
    case ADVICE_LABEL:
        return row->label;
    case ADVICE_WHY:
        return row->why;
    case ADVICE_REMEDY:
        return row->remedy;
    case ADVICE_SUMMARY:
        return row->summary;
    }
    return NULL;
}

/* Of the rows whose conditions are true, the first that has the part. The last row of a
 * cause has no conditions and all parts. */
static const char *sentence_of(const struct scene *scene, enum advice_part part)
{
    const struct advice_row *row = table[scene->finding->cause];
    const uint64_t conditions = scene_conditions(scene);
    while ((row->when & conditions) != row->when || !part_of(row, part))
        row++;
    return part_of(row, part);
}

static void expand(const struct scene *scene, const char *sentence, struct text *text)
{
    bool is_known = template_expand(sentence, scene_words, scene, text);
    assert(is_known);
    (void)is_known;
}

/* Who reached the ports, where that is not all. */
static void places_put(const struct scene *scene, struct text *text)
{
    AUTO_TEXT places = text_up_to(2ul * PLACES_OF_A_PORT_MAX * PLACE_LABEL_SIZE);
    report_places_put(scene->family, scene->group->first, &places);
    if (places.len > 0)
        text_printf(text, ", %s", places.data);
}

void advice_put(const struct report *report, const struct family_report *family,
                const struct port_group *group, enum advice_part part, struct text *text)
{
    const struct scene scene = scene_of(report, family, group);
    expand(&scene, sentence_of(&scene, part), text);
    /* Unknown ports are one group, whatever their bindings. */
    if (part == ADVICE_LABEL && scene.finding->cause != CAUSE_UNKNOWN) {
        expand(&scene, label_ends[scene.local->binding], text);
        places_put(&scene, text);
    }
}

/* The ports with this cause that are not good, as a scene of the first of their groups. */
static bool scene_of_cause(const struct report *report, const struct family_report *family,
                           enum cause cause, struct scene *ret)
{
    size_t count = 0;
    for (size_t i = family->group_count; i-- > 0;) {
        const struct finding *finding = &family->findings[family->groups[i].first];
        if (finding->cause != cause || finding->is_good)
            continue;
        count += family->groups[i].count;
        *ret = scene_of(report, family, &family->groups[i]);
        ret->count = count;
    }
    return count > 0;
}

void advice_put_summary(const struct report *report, const struct family_report *family,
                        struct text *text)
{
    size_t good = 0;
    for (size_t i = 0; i < family->port_count; i++)
        good += family->findings[i].is_good;
    text_printf(text, "%zu of %zu port%s reachable", good, family->port_count,
                family->port_count == 1 ? "" : "s");

    const char *between = "; ";
    for (enum cause cause = 0; cause < CAUSE_COUNT; cause++) {
        struct scene scene;
        if (!scene_of_cause(report, family, cause, &scene))
            continue;
        text_printf(text, "%s%zu ", between, scene.count);
        expand(&scene, sentence_of(&scene, ADVICE_SUMMARY), text);
        between = ", ";
    }
}
