/* SPDX-License-Identifier: MIT */
#include "verifier/advice.h"

#include "verifier/scene.h"

#include <string.h>

/* --- labels --------------------------------------------------------------------------- */

static const char *label_of_cause(enum cause cause)
{
    switch (cause) {
    case CAUSE_GOOD:
        return "good";
    case CAUSE_UNPROVED:
        return "good: listener not proved";
    case CAUSE_NO_QUORUM:
        return "open: for some checkers only";
    case CAUSE_OTHER_PORT:
        return "open: leads to ";
    case CAUSE_SOMEBODY_ELSE:
        return "open: something else answers";
    case CAUSE_PROOF_LOST:
        return "open: proof got lost";
    case CAUSE_REFUSED:
        return "closed: refused";
    case CAUSE_NOT_BOUND:
        return "closed: nothing listens";
    case CAUSE_WAY_BACK:
        return "filtered: the way back is blocked";
    case CAUSE_UNREACHABLE:
        return "unreachable: ";
    case CAUSE_NOT_FORWARDED:
        return "filtered: not forwarded";
    case CAUSE_NO_WAY_IN:
        return "filtered: nothing comes in";
    case CAUSE_UNKNOWN:
        return "not known";
    }
    return "";
}

static void label_add_binding(const struct scene *scene)
{
    switch (scene->local->binding) {
    case BINDING_BOUND:
    case BINDING_NONE:
    case BINDING_NO_FAMILY:
        break;
    case BINDING_IN_USE:
        scene_put(scene, " (in use by ");
        scene_put_owner(scene);
        scene_put(scene, ")");
        break;
    case BINDING_NO_PERMISSION:
        scene_put(scene, " (no permission to bind)");
        break;
    case BINDING_FAILED:
        text_printf(scene->text, " (not bound: %s)", strerrordesc_np(scene->local->errnum));
        break;
    }
}

static void label_of_probe(const struct scene *scene)
{
    const struct remote_verdict *verdict = report_witness(scene->half, scene->index);
    scene_put(scene, verdict ? port_state_text(verdict->state) : "not known");
    if (verdict && verdict->state == PORT_STATE_UNREACHABLE)
        text_printf(scene->text, ": %s", verdict->words);
}

void advice_label(const struct report *report, const struct family_report *half,
                  size_t index, struct text *text)
{
    struct scene scene = scene_of(report, half, index, text);
    if (report->is_probe) {
        label_of_probe(&scene);
        return;
    }
    if (scene.finding->cause == CAUSE_NOT_FORWARDED && !scene.is_translated)
        scene_put(&scene, "filtered: not let through");
    else
        scene_put(&scene, label_of_cause(scene.finding->cause));
    if (scene.finding->cause == CAUSE_OTHER_PORT)
        scene_put_destination(&scene);
    if (scene.finding->cause == CAUSE_UNREACHABLE)
        scene_put(&scene, scene.words);
    label_add_binding(&scene);
}

/* --- causes --------------------------------------------------------------------------- */

static void cause_unproved(const struct scene *scene)
{
    scene_put_ports(scene);
    scene_put(scene, " can be reached, but who answers is not proved: ");
    switch (scene->local->binding) {
    case BINDING_IN_USE:
        scene_put_owner(scene);
        scene_put(scene, " holds ");
        scene_put_it(scene);
        scene_put(scene, " on this machine");
        break;
    case BINDING_NO_PERMISSION:
    case BINDING_FAILED:
        scene_put_it(scene);
        scene_put(scene, " could not be bound here");
        break;
    case BINDING_BOUND:
    case BINDING_NO_FAMILY:
    case BINDING_NONE:
        scene_put(scene, "the checker knows no proof");
        break;
    }
}

static void cause_refused(const struct scene *scene)
{
    scene_put_ports(scene);
    if (scene->local->owner.is_loopback_only) {
        scene_put_is(scene);
        scene_put(scene, " refused: ");
        scene_put_owner(scene);
        scene_put(scene, " listens for this machine alone");
        return;
    }
    scene_put_is(scene);
    scene_put(scene, " refused, though somebody listens here: ");
    scene_put(scene,
              scene->is_translated
                  ? "the forward leads to a machine that refuses, or a firewall rejects"
                  : "a firewall rejects");
}

static void cause_not_bound(const struct scene *scene)
{
    scene_put_ports(scene);
    scene_put_is(scene);
    scene_put(scene, " refused, and nothing listens here");
    if (scene->local->binding == BINDING_NO_PERMISSION)
        scene_put(scene, ": the system does not let this user bind ports under 1024");
    if (scene->local->binding == BINDING_IN_USE) {
        scene_put(scene, ": ");
        scene_put_owner(scene);
        scene_put(scene, " uses ");
        scene_put_it(scene);
        scene_put(scene, " for a connection going out");
    }
}

static void cause_silence(const struct scene *scene)
{
    if (scene->finding->cause == CAUSE_NOT_FORWARDED) {
        scene_put_ports(scene);
        scene_put(scene,
                  scene->alike == 1 ? " stays silent while " : " stay silent while ");
        scene_put_answering(scene);
        scene_put(scene, scene->is_translated
                             ? ": not in the range that the router forwards"
                             : ": a firewall does not let them through");
        return;
    }
    scene_put(scene,
              scene->is_translated
                  ? "nothing comes in: no forward at all, a firewall, or carrier NAT"
                  : "nothing comes in: a firewall, on this machine or on the way to it");
    scene_put_signs(scene);
}

static void cause_somebody(const struct scene *scene)
{
    scene_put(scene, "something else answers on ");
    scene_put_ports(scene);
    scene_put(scene, ": another machine, or a proxy that accepts everything");
}

static void cause_proof_lost(const struct scene *scene)
{
    scene_put(scene, "connections to ");
    scene_put_ports(scene);
    scene_put(scene,
              " come in here, but our proof does not arrive at the checker: something in "
              "between talks in its place, or the way is very slow");
}

static void cause_other_port(const struct scene *scene)
{
    scene_put(scene, "the router forwards ");
    scene_put_ports(scene);
    scene_put(scene, " to ");
    scene_put_destination(scene);
    scene_put(scene, " of this machine");
}

static void cause_way_back(const struct scene *scene)
{
    scene_put(scene, "the way back is blocked: connections to ");
    scene_put_ports(scene);
    scene_put(scene, " come in here, and the answers get lost");
}

static void cause_unreachable(const struct scene *scene)
{
    scene_put(scene, "the network says that there is no path to ");
    scene_put_ports(scene);
    text_printf(scene->text, ": %s",
                scene->words[0] ? scene->words : "no words of its own");
}

static void cause_no_quorum(const struct scene *scene)
{
    scene_put_ports(scene);
    scene_put_is(scene);
    text_printf(scene->text, " reached by %u of %u checkers, and %u are wanted",
                scene->finding->reached, scene->finding->asked, scene->report->quorum);
}

static void cause_unknown(const struct scene *scene)
{
    scene_put(scene, "no checker answered: nothing is known of ");
    scene_put_ports(scene);
}

void advice_cause(const struct report *report, const struct family_report *half,
                  size_t index, struct text *text)
{
    struct scene scene = scene_of(report, half, index, text);
    if (report->is_probe)
        return;

    switch (scene.finding->cause) {
    case CAUSE_GOOD:
        return;
    case CAUSE_UNPROVED:
        cause_unproved(&scene);
        return;
    case CAUSE_NO_QUORUM:
        cause_no_quorum(&scene);
        return;
    case CAUSE_OTHER_PORT:
        cause_other_port(&scene);
        return;
    case CAUSE_SOMEBODY_ELSE:
        cause_somebody(&scene);
        return;
    case CAUSE_PROOF_LOST:
        cause_proof_lost(&scene);
        return;
    case CAUSE_REFUSED:
        cause_refused(&scene);
        return;
    case CAUSE_NOT_BOUND:
        cause_not_bound(&scene);
        return;
    case CAUSE_WAY_BACK:
        cause_way_back(&scene);
        return;
    case CAUSE_UNREACHABLE:
        cause_unreachable(&scene);
        return;
    case CAUSE_NOT_FORWARDED:
    case CAUSE_NO_WAY_IN:
        cause_silence(&scene);
        return;
    case CAUSE_UNKNOWN:
        cause_unknown(&scene);
        return;
    }
}
