/* SPDX-License-Identifier: MIT */
#include "verifier/scene.h"

#include "verifier/ports.h"

#include <stdlib.h>

struct scene scene_of(const struct report *report, const struct family_report *half,
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

void scene_put(const struct scene *scene, const char *words)
{
    text_append_str(scene->text, words);
}

void scene_put_ports(const struct scene *scene)
{
    scene_put(scene, scene->alike == 1 ? "port " : "ports ");
    report_format_alike(scene->half, scene->index, scene->text);
}

void scene_put_is(const struct scene *scene)
{
    scene_put(scene, scene->alike == 1 ? " is" : " are");
}

void scene_put_it(const struct scene *scene)
{
    scene_put(scene, scene->alike == 1 ? "it" : "them");
}

void scene_put_address(const struct scene *scene, bool is_known,
                       const struct address *address, const char *otherwise)
{
    char ip[ADDRESS_TEXT_SIZE];
    scene_put(scene, is_known ? address_format(address, ip) : otherwise);
}

void scene_put_here(const struct scene *scene)
{
    scene_put_address(scene, scene->half->has_local, &scene->half->local_address,
                      "this machine");
}

void scene_put_owner(const struct scene *scene)
{
    const char *name = scene->local->owner.name;
    scene_put(scene, name[0] ? name : "another program");
}

void scene_put_destination(const struct scene *scene)
{
    const struct family_report *half = scene->half;
    uint16_t *ports = calloc(half->port_count + 1, sizeof *ports);
    size_t count = 0;
    for (size_t i = 0; ports && i < half->port_count; i++)
        if (report_ports_alike(half, scene->index, i))
            ports[count++] = half->findings[i].leads_to;
    scene_put(scene, count == 1 ? "port " : "ports ");
    ports_format(ports, count, scene->text);
    free(ports);
}

void scene_put_answering(const struct scene *scene)
{
    const struct family_report *half = scene->half;
    uint16_t *ports = calloc(half->port_count + 1, sizeof *ports);
    size_t count = 0;
    for (size_t i = 0; ports && i < half->port_count; i++) {
        const struct remote_verdict *verdict = report_witness(half, i);
        if (verdict &&
            (verdict->state == PORT_STATE_OPEN || verdict->state == PORT_STATE_CLOSED))
            ports[count++] = half->ports[i];
    }
    if (count > 0) {
        scene_put(scene, " while ");
        ports_format(ports, count, scene->text);
        scene_put(scene, count == 1 ? " answers" : " answer");
    }
    free(ports);
}

void scene_put_signs(const struct scene *scene)
{
    const struct family_report *half = scene->half;
    const char *between = " (";
    if (half->has_local && signs_have(half->signs, SIGN_PRIVATE_ADDRESS)) {
        text_append_str(scene->text, between);
        scene_put(scene, "this machine's address ");
        scene_put_here(scene);
        scene_put(scene, " is a private one");
        between = ", ";
    }
    if (signs_have(half->signs, SIGN_CARRIER_ADDRESS)) {
        text_append_str(scene->text, between);
        scene_put(scene, "there is an address of 100.64.0.0/10, a carrier's inner network");
        between = ", ";
    }
    if (signs_have(half->signs, SIGN_ADDRESS_DIFFERS) && half->has_public) {
        text_append_str(scene->text, between);
        scene_put(scene, "the checker sees ");
        scene_put_address(scene, true, &half->public_address, "");
        scene_put(scene,
                  signs_have(half->signs, SIGN_PRIVATE_ADDRESS) ? "" : " instead of ours");
        between = ", ";
    }
    if (between[0] == ',')
        scene_put(scene, ")");
}

void scene_put_missing(const struct scene *scene)
{
    const struct family_report *half = scene->half;
    const char *between = ": not by ";
    for (size_t i = 0; i < half->checker_count; i++) {
        if (!half->checkers[i].result.verdicts || report_reached(half, i, scene->index))
            continue;
        text_printf(scene->text, "%s%s", between, half->checkers[i].url);
        between = ", ";
    }
}
