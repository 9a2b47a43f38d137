/* SPDX-License-Identifier: MIT
 *
 * The words in braces of causes.def: what they stand for when a group of ports is spoken
 * of.
 */
#pragma once

#include "base/template.h"
#include "verifier/report.h"

#include <stddef.h>

/* A line of causes.def: what is said of ports when `when` is true of them. */
struct sentences {
    unsigned when; /* conditions, all of them */
    const char *label;
    const char *why;
    const char *remedy;
    const char *summary;
};

enum condition {
    WHEN_IN_USE = 1 << 0,         /* another program of this machine holds the ports */
    WHEN_NO_PERMISSION = 1 << 1,  /* the system does not let this user bind them */
    WHEN_UNBOUND = 1 << 2,        /* they could not be bound, for that or another reason */
    WHEN_LOOPBACK_ONLY = 1 << 3,  /* their program listens where only this machine comes */
    WHEN_ADVERTISED = 1 << 4,     /* they may be advertised */
    WHEN_REACHED_BY_ALL = 1 << 5, /* by every checker that answered */
    WHEN_TRANSLATED = 1 << 6,     /* a router translates addresses on the path */
    WHEN_PRIVATE = 1 << 7,        /* our address belongs to a local network */
    WHEN_CARRIER = 1 << 8,        /* an address of ours belongs to carrier-grade NAT */
    WHEN_OTHERS_ANSWER = 1 << 9,  /* other ports took or refused a connection */
};

/* The names in the sentences. All borrowed. */
struct scene {
    const struct report *report;
    const struct family_report *family;
    const struct port_group *group;
    size_t count;                  /* of ports that {are}, {it} and {s} speak of */
    const struct finding *finding; /* of the group's first port, as are the next two */
    const struct local_port *local;
    const struct remote_verdict *witness; /* or NULL */
};

struct scene scene_of(const struct report *report, const struct family_report *family,
                      const struct port_group *group);

/* For template_expand(), with a scene as its context. */
extern const struct template_word scene_words[];

/* The conditions that are true. */
unsigned scene_conditions(const struct scene *scene);
