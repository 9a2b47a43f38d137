/* SPDX-License-Identifier: MIT */
#include "verifier/advice.h"

#include "base/libc.h"
#include "verifier/checker_advice.h"
#include "verifier/scene.h"

#include <string.h>

/* --- remedies that several causes have -------------------------------------------------
 */

static void remedy_forward(const struct scene *scene)
{
    scene_put(scene, "in the router, let ");
    scene_put_ports(scene);
    scene_put(scene, scene->alike == 1 ? " lead to the same port of "
                                       : " lead to the same ports of ");
    scene_put_here(scene);
}

static void remedy_firewall(const struct scene *scene)
{
    scene_put(scene, "allow ");
    scene_put_ports(scene);
    scene_put(scene, " (TCP, from anywhere) in the firewall of ");
    scene_put_here(scene);
    scene_put(scene, " and of every router in front of it");
}

/* --- reached ------------------------------------------------------------------------- */

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

static void remedy_unproved(const struct scene *scene)
{
    if (scene->local->binding == BINDING_BOUND) {
        scene_put(scene,
                  "to be sure that it is this machine, ask a checker that knows proofs");
        return;
    }
    if (scene->half->is_advertised[scene->index]) {
        scene_put(
            scene,
            "nothing to change, if that is the provider; to have proof, stop it while "
            "you verify");
        return;
    }
    scene_put(scene, "if what answers there is yours, name ");
    scene_put_ports(scene);
    scene_put(scene, " with --in-use; else free ");
    scene_put_it(scene);
    scene_put(scene, " and verify again");
}

static void cause_no_quorum(const struct scene *scene)
{
    scene_put_ports(scene);
    scene_put_is(scene);
    text_printf(scene->text, " reached by %u of %u checkers, and %u are wanted",
                scene->finding->reached, scene->finding->asked, scene->report->quorum);
    scene_put_missing(scene);
}

static void remedy_no_quorum(const struct scene *scene)
{
    if (scene->finding->reached == scene->finding->asked) {
        scene_put(scene, "too few checkers answered: ask again later, or name others");
        return;
    }
    scene_put(scene, "a firewall may let in some networks only: ");
    remedy_firewall(scene);
}

/* --- open, and not ours -------------------------------------------------------------- */

static void cause_other_port(const struct scene *scene)
{
    scene_put(scene, "the router forwards ");
    scene_put_ports(scene);
    scene_put(scene, " to ");
    scene_put_destination(scene);
    scene_put(scene, " of this machine");
}

static void cause_somebody(const struct scene *scene)
{
    scene_put(scene, "something else answers on ");
    scene_put_ports(scene);
    scene_put(scene, ": another machine, or a proxy that accepts everything");
}

static void remedy_somebody(const struct scene *scene)
{
    if (scene->is_translated) {
        remedy_forward(scene);
        scene_put(scene,
                  "; if it does already, look for a SYN proxy or a protection against "
                  "attacks that answers in its place");
        return;
    }
    scene_put(scene, "look for a SYN proxy or a protection against attacks in front of ");
    scene_put_here(scene);
    scene_put(scene, " that answers in its place");
}

static void cause_proof_lost(const struct scene *scene)
{
    scene_put(scene, "connections to ");
    scene_put_ports(scene);
    scene_put(scene,
              " come in here, but our proof does not arrive at the checker: something in "
              "between talks in its place, or the way is very slow");
}

static void remedy_proof_lost(const struct scene *scene)
{
    scene_put(scene,
              "look for a transparent proxy or an inspecting firewall on the way, and "
              "let it leave these ports alone");
}

/* --- closed -------------------------------------------------------------------------- */

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

static void remedy_refused(const struct scene *scene)
{
    if (scene->local->owner.is_loopback_only) {
        scene_put(scene, "let ");
        scene_put_owner(scene);
        scene_put(scene, " listen on all addresses, or stop it");
        return;
    }
    if (!scene->is_translated) {
        remedy_firewall(scene);
        return;
    }
    remedy_forward(scene);
    scene_put(scene, ", and allow ");
    scene_put_it(scene);
    scene_put(scene, " in the firewalls on the way");
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

static void remedy_not_bound(const struct scene *scene)
{
    switch (scene->local->binding) {
    case BINDING_NO_PERMISSION:
        scene_put(scene,
                  "run it with the right to bind ports under 1024 (CAP_NET_BIND_SERVICE)");
        break;
    case BINDING_IN_USE:
        scene_put(scene, "verify again in a minute; to keep the system from using ");
        scene_put_it(scene);
        scene_put(scene, " so, name ");
        scene_put_it(scene);
        scene_put(scene, " in the sysctl net.ipv4.ip_local_reserved_ports");
        break;
    case BINDING_BOUND:
    case BINDING_FAILED:
    case BINDING_NO_FAMILY:
    case BINDING_NONE:
        scene_put(scene, "let the provider listen there");
        break;
    }
}

/* --- no way -------------------------------------------------------------------------- */

static void cause_way_back(const struct scene *scene)
{
    scene_put(scene, "the way back is blocked: connections to ");
    scene_put_ports(scene);
    scene_put(scene, " come in here, and the answers get lost");
}

static void remedy_way_back(const struct scene *scene)
{
    scene_put(scene,
              "look at the rules for outgoing packets here and in the router, and whether "
              "answers leave through the line that the connection came in by");
}

static void label_unreachable(const struct scene *scene)
{
    scene_put(scene, scene->words);
}

static void cause_unreachable(const struct scene *scene)
{
    scene_put(scene, "the network says that there is no path to ");
    scene_put_ports(scene);
    text_printf(scene->text, ": %s",
                scene->words[0] ? scene->words : "no words of its own");
}

static void remedy_unreachable(const struct scene *scene)
{
    scene_put(scene, "look for a router or firewall on the way that rejects, and whether ");
    scene_put_address(scene, scene->half->has_public, &scene->half->public_address,
                      "the address");
    scene_put(scene, " is still yours");
}

static void label_not_forwarded(const struct scene *scene)
{
    scene_put(scene, scene->is_translated ? "not forwarded" : "not let through");
}

static void cause_not_forwarded(const struct scene *scene)
{
    scene_put_ports(scene);
    scene_put(scene, scene->alike == 1 ? " stays silent" : " stay silent");
    scene_put_answering(scene);
    if (scene->is_translated) {
        scene_put(scene, ": not in the range that the router forwards");
        return;
    }
    scene_put(scene, ": a firewall does not let ");
    scene_put_it(scene);
    scene_put(scene, " through");
}

static void remedy_not_forwarded(const struct scene *scene)
{
    if (scene->is_translated)
        remedy_forward(scene);
    else
        remedy_firewall(scene);
}

static void cause_no_way_in(const struct scene *scene)
{
    scene_put(scene,
              scene->is_translated
                  ? "nothing comes in: no forward at all, a firewall, or carrier NAT"
                  : "nothing comes in: a firewall, on this machine or on the way to it");
    scene_put_signs(scene);
}

static void remedy_no_way_in(const struct scene *scene)
{
    if (!scene->is_translated) {
        remedy_firewall(scene);
        return;
    }
    if (signs_have(scene->half->signs, SIGN_CARRIER_ADDRESS)) {
        scene_put(
            scene,
            "no forward of yours can help behind carrier NAT: ask the internet provider "
            "for a public IPv4 address, or use IPv6");
        return;
    }
    remedy_forward(scene);
    scene_put(scene, "; if the router's own outer address is not ");
    scene_put_address(scene, scene->half->has_public, &scene->half->public_address,
                      "the one that the checker sees");
    scene_put(scene,
              ", the internet provider translates too (carrier NAT): ask it for a public "
              "address");
}

/* --- not known ----------------------------------------------------------------------- */

static void cause_unknown(const struct scene *scene)
{
    scene_put(scene, "no checker answered: nothing is known of ");
    scene_put_ports(scene);
}

static void remedy_unknown(const struct scene *scene)
{
    checker_advice_put(scene->half, scene->text);
}

/* --- the table ------------------------------------------------------------------------ */

/* What is said of a cause: its label, an end of that which depends on the port, and two
 * sentences. NULL: nothing. */
struct advice {
    const char *label;
    void (*put_label_end)(const struct scene *scene);
    void (*put_cause)(const struct scene *scene);
    void (*put_remedy)(const struct scene *scene);
};

/* clang-format off */
#define ADVICE_MAP(X)                                                           \
    X(GOOD, "good",                                                             \
      NULL, NULL, NULL)                                                         \
    X(UNPROVED, "good: listener not proved",                                    \
      NULL, cause_unproved, remedy_unproved)                                    \
    X(NO_QUORUM, "open: for some checkers only",                                \
      NULL, cause_no_quorum, remedy_no_quorum)                                  \
    X(OTHER_PORT, "open: leads to ",                                            \
      scene_put_destination, cause_other_port, remedy_forward)                  \
    X(SOMEBODY_ELSE, "open: something else answers",                            \
      NULL, cause_somebody, remedy_somebody)                                    \
    X(PROOF_LOST, "open: proof got lost",                                       \
      NULL, cause_proof_lost, remedy_proof_lost)                                \
    X(REFUSED, "closed: refused",                                               \
      NULL, cause_refused, remedy_refused)                                      \
    X(NOT_BOUND, "closed: nothing listens",                                     \
      NULL, cause_not_bound, remedy_not_bound)                                  \
    X(WAY_BACK, "filtered: the way back is blocked",                            \
      NULL, cause_way_back, remedy_way_back)                                    \
    X(UNREACHABLE, "unreachable: ",                                             \
      label_unreachable, cause_unreachable, remedy_unreachable)                 \
    X(NOT_FORWARDED, "filtered: ",                                              \
      label_not_forwarded, cause_not_forwarded, remedy_not_forwarded)           \
    X(NO_WAY_IN, "filtered: nothing comes in",                                  \
      NULL, cause_no_way_in, remedy_no_way_in)                                  \
    X(UNKNOWN, "not known",                                                     \
      NULL, cause_unknown, remedy_unknown)
/* clang-format on */

static struct advice advice_of(const struct scene *scene)
{
    switch (scene->finding->cause) {
#define X(NAME, ...)                                                                       \
    case CAUSE_##NAME:                                                                     \
        return (struct advice){__VA_ARGS__};
        ADVICE_MAP(X)
#undef X
    }
    return (struct advice){.label = ""};
}

/* --- said of a port ------------------------------------------------------------------- */

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
        text_printf(scene->text, " (not bound: %s)", libc_error_text(scene->local->errnum));
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
    const struct advice advice = advice_of(&scene);
    scene_put(&scene, advice.label);
    if (advice.put_label_end)
        advice.put_label_end(&scene);
    label_add_binding(&scene);
}

void advice_cause(const struct report *report, const struct family_report *half,
                  size_t index, struct text *text)
{
    struct scene scene = scene_of(report, half, index, text);
    const struct advice advice = advice_of(&scene);
    if (!report->is_probe && advice.put_cause)
        advice.put_cause(&scene);
}

void advice_remedy(const struct report *report, const struct family_report *half,
                   size_t index, struct text *text)
{
    struct scene scene = scene_of(report, half, index, text);
    const struct advice advice = advice_of(&scene);
    if (!report->is_probe && advice.put_remedy)
        advice.put_remedy(&scene);
}
