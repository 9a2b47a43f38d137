/* SPDX-License-Identifier: MIT */
#include "verifier/advice.h"

#include "verifier/ports.h"

#include <stdlib.h>
#include <string.h>

/* What all the writers below are handed. */
struct scene {
    const struct report *report;
    const struct family_report *half;
    size_t index;
    const struct finding *finding;
    const struct local_port *local;
    const char *words;  /* of the network, as the checker passed them on */
    size_t alike;       /* ports that this is about */
    bool is_translated; /* a router stands between that translates addresses */
    struct text *text;
};

static struct scene scene_of(const struct report *report, const struct family_report *half,
                             size_t index, struct text *text)
{
    const struct remote_verdict *witness = report_witness(half, index);
    struct scene scene = {
        .report = report,
        .half = half,
        .index = index,
        .finding = &half->findings[index],
        .local = &half->local[index],
        .words = witness ? witness->words : "",
        .is_translated = signs_have(half->signs, SIGN_ADDRESS_DIFFERS),
        .text = text,
    };
    for (size_t i = 0; i < half->port_count; i++)
        scene.alike += report_ports_alike(half, index, i);
    return scene;
}

/* --- pieces --------------------------------------------------------------------------- */

static void put(const struct scene *scene, const char *words)
{
    text_append_str(scene->text, words);
}

/* "port 7466", "ports 50800-50809" */
static void put_ports(const struct scene *scene)
{
    put(scene, scene->alike == 1 ? "port " : "ports ");
    report_format_alike(scene->half, scene->index, scene->text);
}

static void put_is(const struct scene *scene)
{
    put(scene, scene->alike == 1 ? " is" : " are");
}

static void put_it(const struct scene *scene)
{
    put(scene, scene->alike == 1 ? "it" : "them");
}

static void put_address(const struct scene *scene, bool is_known,
                        const struct address *address, const char *otherwise)
{
    char ip[ADDRESS_TEXT_SIZE];
    put(scene, is_known ? address_format(address, ip) : otherwise);
}

static void put_here(const struct scene *scene)
{
    put_address(scene, scene->half->has_local, &scene->half->local_address, "this machine");
}

static void put_owner(const struct scene *scene)
{
    const char *name = scene->local->owner.name;
    put(scene, name[0] ? name : "another program");
}

/* Where our listeners are reached when these ports are asked for: "50900-50909". */
static void put_destination(const struct scene *scene)
{
    const struct family_report *half = scene->half;
    uint16_t *ports = calloc(half->port_count + 1, sizeof *ports);
    size_t count = 0;
    for (size_t i = 0; ports && i < half->port_count; i++)
        if (report_ports_alike(half, scene->index, i))
            ports[count++] = half->findings[i].leads_to;
    put(scene, count == 1 ? "port " : "ports ");
    ports_format(ports, count, scene->text);
    free(ports);
}

/* Ports that something answered on, in whatever way: "7466,50800-50847". */
static void put_answering(const struct scene *scene)
{
    const struct family_report *half = scene->half;
    uint16_t *ports = calloc(half->port_count + 1, sizeof *ports);
    size_t count = 0;
    for (size_t i = 0; ports && i < half->port_count; i++)
        if (half->findings[i].cause != CAUSE_NOT_FORWARDED)
            ports[count++] = half->ports[i];
    ports_format(ports, count, scene->text);
    free(ports);
}

static void put_signs(const struct scene *scene)
{
    const struct family_report *half = scene->half;
    const char *between = " (";
    if (half->has_local && signs_have(half->signs, SIGN_PRIVATE_ADDRESS)) {
        text_append_str(scene->text, between);
        put(scene, "this machine's address ");
        put_here(scene);
        put(scene, " is a private one");
        between = ", ";
    }
    if (signs_have(half->signs, SIGN_CARRIER_ADDRESS)) {
        text_append_str(scene->text, between);
        put(scene, "there is an address of 100.64.0.0/10, a carrier's inner network");
        between = ", ";
    }
    if (signs_have(half->signs, SIGN_ADDRESS_DIFFERS) && half->has_public) {
        text_append_str(scene->text, between);
        put(scene, "the checker sees ");
        put_address(scene, true, &half->public_address, "");
        put(scene, signs_have(half->signs, SIGN_PRIVATE_ADDRESS) ? "" : " instead of ours");
        between = ", ";
    }
    if (between[0] == ',')
        put(scene, ")");
}

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
        put(scene, " (in use by ");
        put_owner(scene);
        put(scene, ")");
        break;
    case BINDING_NO_PERMISSION:
        put(scene, " (no permission to bind)");
        break;
    case BINDING_FAILED:
        text_printf(scene->text, " (not bound: %s)", strerrordesc_np(scene->local->errnum));
        break;
    }
}

static void label_of_probe(const struct scene *scene)
{
    const struct remote_verdict *verdict = report_witness(scene->half, scene->index);
    put(scene, verdict ? port_state_text(verdict->state) : "not known");
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
        put(&scene, "filtered: not let through");
    else
        put(&scene, label_of_cause(scene.finding->cause));
    if (scene.finding->cause == CAUSE_OTHER_PORT)
        put_destination(&scene);
    if (scene.finding->cause == CAUSE_UNREACHABLE)
        put(&scene, scene.words);
    label_add_binding(&scene);
}

/* --- causes --------------------------------------------------------------------------- */

static void cause_unproved(const struct scene *scene)
{
    put_ports(scene);
    put(scene, " can be reached, but who answers is not proved: ");
    switch (scene->local->binding) {
    case BINDING_IN_USE:
        put_owner(scene);
        put(scene, " holds ");
        put_it(scene);
        put(scene, " on this machine");
        break;
    case BINDING_NO_PERMISSION:
    case BINDING_FAILED:
        put_it(scene);
        put(scene, " could not be bound here");
        break;
    case BINDING_BOUND:
    case BINDING_NO_FAMILY:
    case BINDING_NONE:
        put(scene, "the checker knows no proof");
        break;
    }
}

static void cause_refused(const struct scene *scene)
{
    put_ports(scene);
    if (scene->local->owner.is_loopback_only) {
        put_is(scene);
        put(scene, " refused: ");
        put_owner(scene);
        put(scene, " listens for this machine alone");
        return;
    }
    put_is(scene);
    put(scene, " refused, though somebody listens here: ");
    put(scene, scene->is_translated
                   ? "the forward leads to a machine that refuses, or a firewall rejects"
                   : "a firewall rejects");
}

static void cause_not_bound(const struct scene *scene)
{
    put_ports(scene);
    put_is(scene);
    put(scene, " refused, and nothing listens here");
    if (scene->local->binding == BINDING_NO_PERMISSION)
        put(scene, ": the system does not let this user bind ports under 1024");
    if (scene->local->binding == BINDING_IN_USE) {
        put(scene, ": ");
        put_owner(scene);
        put(scene, " uses ");
        put_it(scene);
        put(scene, " for a connection going out");
    }
}

static void cause_silence(const struct scene *scene)
{
    if (scene->finding->cause == CAUSE_NOT_FORWARDED) {
        put_ports(scene);
        put(scene, scene->alike == 1 ? " stays silent while " : " stay silent while ");
        put_answering(scene);
        put(scene, scene->is_translated
                       ? " answers: not in the range that the router forwards"
                       : " answers: a firewall does not let them through");
        return;
    }
    put(scene, scene->is_translated
                   ? "nothing comes in: no forward at all, a firewall, or carrier NAT"
                   : "nothing comes in: a firewall, on this machine or on the way to it");
    put_signs(scene);
}

static void cause_somebody(const struct scene *scene)
{
    put(scene, "something else answers on ");
    put_ports(scene);
    put(scene, ": another machine, or a proxy that accepts everything");
}

static void cause_proof_lost(const struct scene *scene)
{
    put(scene, "connections to ");
    put_ports(scene);
    put(scene, " come in here, but our proof does not arrive at the checker: something in "
               "between talks in its place, or the way is very slow");
}

static void cause_other_port(const struct scene *scene)
{
    put(scene, "the router forwards ");
    put_ports(scene);
    put(scene, " to ");
    put_destination(scene);
    put(scene, " of this machine");
}

static void cause_way_back(const struct scene *scene)
{
    put(scene, "the way back is blocked: connections to ");
    put_ports(scene);
    put(scene, " come in here, and the answers get lost");
}

static void cause_unreachable(const struct scene *scene)
{
    put(scene, "the network says that there is no path to ");
    put_ports(scene);
    text_printf(scene->text, ": %s",
                scene->words[0] ? scene->words : "no words of its own");
}

static void cause_no_quorum(const struct scene *scene)
{
    put_ports(scene);
    put_is(scene);
    text_printf(scene->text, " reached by %u of %u checkers, and %u are wanted",
                scene->finding->reached, scene->finding->asked, scene->report->quorum);
}

static void cause_unknown(const struct scene *scene)
{
    put(scene, "no checker answered: nothing is known of ");
    put_ports(scene);
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

/* --- remedies ------------------------------------------------------------------------- */

static void remedy_unproved(const struct scene *scene)
{
    if (scene->local->binding == BINDING_BOUND) {
        put(scene, "to be sure that it is this machine, ask a checker that knows proofs");
        return;
    }
    if (scene->half->is_advertised[scene->index]) {
        put(scene,
            "nothing to change, if that is the provider; to have proof, stop it while "
            "you verify");
        return;
    }
    put(scene, "if what answers there is yours, name ");
    put_ports(scene);
    put(scene, " with --in-use; else free ");
    put_it(scene);
    put(scene, " and verify again");
}

static void remedy_forward(const struct scene *scene)
{
    put(scene, "in the router, let ");
    put_ports(scene);
    put(scene,
        scene->alike == 1 ? " lead to the same port of " : " lead to the same ports of ");
    put_here(scene);
}

static void remedy_firewall(const struct scene *scene)
{
    put(scene, "allow ");
    put_ports(scene);
    put(scene, " (TCP, from anywhere) in the firewall of ");
    put_here(scene);
    put(scene, " and of every router in front of it");
}

static void remedy_somebody(const struct scene *scene)
{
    if (scene->is_translated) {
        remedy_forward(scene);
        put(scene, "; if it does already, look for a SYN proxy or a protection against "
                   "attacks that answers in its place");
        return;
    }
    put(scene, "look for a SYN proxy or a protection against attacks in front of ");
    put_here(scene);
    put(scene, " that answers in its place");
}

static void remedy_refused(const struct scene *scene)
{
    if (scene->local->owner.is_loopback_only) {
        put(scene, "let ");
        put_owner(scene);
        put(scene, " listen on all addresses, or stop it");
        return;
    }
    if (!scene->is_translated) {
        remedy_firewall(scene);
        return;
    }
    remedy_forward(scene);
    put(scene, ", and allow ");
    put_it(scene);
    put(scene, " in the firewalls on the way");
}

static void remedy_no_way_in(const struct scene *scene)
{
    if (!scene->is_translated) {
        remedy_firewall(scene);
        return;
    }
    if (signs_have(scene->half->signs, SIGN_CARRIER_ADDRESS)) {
        put(scene,
            "no forward of yours can help behind carrier NAT: ask the internet provider "
            "for a public IPv4 address, or use IPv6");
        return;
    }
    remedy_forward(scene);
    put(scene, "; if the router's own outer address is not ");
    put_address(scene, scene->half->has_public, &scene->half->public_address,
                "the one that the checker sees");
    put(scene, ", the internet provider translates too (carrier NAT): ask it for a public "
               "address");
}

static void remedy_not_bound(const struct scene *scene)
{
    put(scene, scene->local->binding == BINDING_NO_PERMISSION
                   ? "run it with the right to bind ports under 1024 (CAP_NET_BIND_SERVICE)"
                   : "free the port and verify again");
}

void advice_remedy(const struct report *report, const struct family_report *half,
                   size_t index, struct text *text)
{
    struct scene scene = scene_of(report, half, index, text);
    if (report->is_probe)
        return;

    switch (scene.finding->cause) {
    case CAUSE_GOOD:
        return;
    case CAUSE_UNPROVED:
        remedy_unproved(&scene);
        return;
    case CAUSE_NO_QUORUM:
        put(&scene,
            "see below which checkers differ: a firewall may let in some networks only");
        return;
    case CAUSE_OTHER_PORT:
        remedy_forward(&scene);
        return;
    case CAUSE_SOMEBODY_ELSE:
        remedy_somebody(&scene);
        return;
    case CAUSE_PROOF_LOST:
        put(&scene,
            "look for a transparent proxy or an inspecting firewall on the way, and "
            "let it leave these ports alone");
        return;
    case CAUSE_REFUSED:
        remedy_refused(&scene);
        return;
    case CAUSE_NOT_BOUND:
        remedy_not_bound(&scene);
        return;
    case CAUSE_WAY_BACK:
        put(&scene,
            "look at the rules for outgoing packets here and in the router, and whether "
            "answers leave through the line that the connection came in by");
        return;
    case CAUSE_UNREACHABLE:
        put(&scene, "look for a router or firewall on the way that rejects, and whether ");
        put_address(&scene, half->has_public, &half->public_address, "the address");
        put(&scene, " is still yours");
        return;
    case CAUSE_NOT_FORWARDED:
        if (scene.is_translated)
            remedy_forward(&scene);
        else
            remedy_firewall(&scene);
        return;
    case CAUSE_NO_WAY_IN:
        remedy_no_way_in(&scene);
        return;
    case CAUSE_UNKNOWN:
        put(&scene, "ask again later, or name another checker");
        return;
    }
}
