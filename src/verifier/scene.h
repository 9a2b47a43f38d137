/* SPDX-License-Identifier: MIT
 *
 * What the sentences about a port have in common: whom they speak of, and the pieces that
 * they are put together from. Only for advice.c.
 */
#pragma once

#include "verifier/report.h"

#include <stdbool.h>
#include <stddef.h>

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

/* `text` is where all of the following append. */
struct scene scene_of(const struct report *report, const struct family_report *half,
                      size_t index, struct text *text);

void scene_put(const struct scene *scene, const char *words);
void scene_put_ports(const struct scene *scene); /* "port 7466", "ports 50800-50809" */
void scene_put_is(const struct scene *scene);    /* " is", " are" */
void scene_put_it(const struct scene *scene);    /* "it", "them" */
void scene_put_address(const struct scene *scene, bool is_known,
                       const struct address *address, const char *otherwise);
void scene_put_here(const struct scene *scene);  /* our address, or "this machine" */
void scene_put_owner(const struct scene *scene); /* the program that holds the port */

/* Where our listeners are reached when these ports are asked for: "ports 50900-50909". */
void scene_put_destination(const struct scene *scene);

/* " while 7466,50800-50847 answer", of the ports that took or refused a connection; nothing
 * when there are none. */
void scene_put_answering(const struct scene *scene);

/* ": not by http://one.example, http://two.example", of the checkers that answered and did
 * not reach the port; nothing when there are none. */
void scene_put_missing(const struct scene *scene);

/* What the addresses tell, in brackets; nothing when they tell nothing. */
void scene_put_signs(const struct scene *scene);
