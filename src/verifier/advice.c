/* SPDX-License-Identifier: MIT */
#include "verifier/advice.h"

#include "verifier/scene.h"

#include <assert.h>
#include <stddef.h>

#define CONDITIONS_MAX 6 /* of one cause; tests/unit/test_advice.c reads them all */

/* --- the table ------------------------------------------------------------------------ */

/* clang-format off */
static const struct sentences table[][CONDITIONS_MAX] = {
#define CAUSE(NAME, name, ...) [CAUSE_##NAME] = {__VA_ARGS__},
#include "verifier/causes.def"
#undef CAUSE
};
/* clang-format on */

static const struct sentences *sentences_of(const struct scene *scene)
{
    const struct sentences *row = table[scene->finding->cause];
    unsigned conditions = scene_conditions(scene);
    while ((row->when & conditions) != row->when)
        row++;
    return row;
}

static void say(const struct scene *scene, const char *sentence, struct text *text)
{
    bool is_known = template_expand(sentence, scene_words, scene, text);
    assert(is_known);
    (void)is_known;
}

/* --- said of a group ------------------------------------------------------------------ */

static const char *label_end(enum binding binding)
{
    switch (binding) {
    case BINDING_BOUND:
    case BINDING_NONE:
    case BINDING_NO_FAMILY:
        break;
    case BINDING_IN_USE:
        return " (in use by {owner})";
    case BINDING_NO_PERMISSION:
        return " (no permission to bind)";
    case BINDING_FAILED:
        return " (could not be bound: {error})";
    }
    return "";
}

static void probe_label_put(const struct scene *scene, struct text *text)
{
    const struct remote_verdict *verdict = scene->witness;
    text_append_str(text, verdict ? port_state_text(verdict->state) : "not checked");
    if (verdict && verdict->state == PORT_STATE_UNREACHABLE)
        say(scene, ": {words}", text);
}

static void label_put(const struct scene *scene, const struct sentences *row,
                      struct text *text)
{
    if (scene->report->is_probe) {
        probe_label_put(scene, text);
        return;
    }
    say(scene, row->label, text);
    if (scene->finding->cause != CAUSE_UNKNOWN) /* such a group has several bindings */
        say(scene, label_end(scene->local->binding), text);
}

void advice_put(const struct report *report, const struct family_report *family,
                const struct port_group *group, enum advice_part part, struct text *text)
{
    const struct scene scene = scene_of(report, family, group);
    const struct sentences *row = sentences_of(&scene);
    switch (part) {
    case ADVICE_LABEL:
        label_put(&scene, row, text);
        break;
    case ADVICE_WHY:
        say(&scene, report->is_probe ? "" : row->why, text);
        break;
    case ADVICE_REMEDY:
        say(&scene, report->is_probe ? "" : row->remedy, text);
        break;
    }
}

/* --- said of all ports ---------------------------------------------------------------- */

/* The ports with this cause that are not good, as a scene of the first of their groups. */
static bool scene_of_cause(const struct report *report, const struct family_report *family,
                           enum cause cause, struct scene *ret)
{
    size_t count = 0;
    for (size_t i = family->group_count; i-- > 0;) {
        const struct finding *finding = &family->findings[family->groups[i].first];
        if (finding->cause != cause || finding->is_good)
            continue;
        *ret = scene_of(report, family, &family->groups[i]);
        count += family->groups[i].count;
    }
    if (count > 0)
        ret->count = count;
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
        say(&scene, sentences_of(&scene)->summary, text);
        between = ", ";
    }
}
