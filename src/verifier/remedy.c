/* SPDX-License-Identifier: MIT */
#include "verifier/advice.h"

#include "verifier/scene.h"

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
        scene_put(
            &scene,
            "see below which checkers differ: a firewall may let in some networks only");
        return;
    case CAUSE_OTHER_PORT:
        remedy_forward(&scene);
        return;
    case CAUSE_SOMEBODY_ELSE:
        remedy_somebody(&scene);
        return;
    case CAUSE_PROOF_LOST:
        scene_put(&scene,
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
        scene_put(
            &scene,
            "look at the rules for outgoing packets here and in the router, and whether "
            "answers leave through the line that the connection came in by");
        return;
    case CAUSE_UNREACHABLE:
        scene_put(&scene,
                  "look for a router or firewall on the way that rejects, and whether ");
        scene_put_address(&scene, half->has_public, &half->public_address, "the address");
        scene_put(&scene, " is still yours");
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
        scene_put(&scene, "ask again later, or name another checker");
        return;
    }
}
