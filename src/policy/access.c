/* SPDX-License-Identifier: MIT */
#include "policy/access.h"

#include "net/scope.h"

#include <stdio.h>
#include <string.h>

/* ---- which addresses ---------------------------------------------------------------- */

bool access_is_probeable(const struct address *address)
{
    switch (address_scope(address)) {
    case SCOPE_ZONE:
    case SCOPE_MULTICAST:
    case SCOPE_RESERVED:
        return false;
    case SCOPE_GLOBAL:
    case SCOPE_PRIVATE:
    case SCOPE_CARRIER:
    case SCOPE_LINK:
    case SCOPE_LOOPBACK:
    case SCOPE_SPECIAL:
        break;
    }
    return true;
}

/* ---- the decision ------------------------------------------------------------------- */

static enum access_reason judge_public(const struct address *target,
                                       const struct access_machine *machine)
{
    if (address_scope(target) != SCOPE_GLOBAL)
        return ACCESS_NOT_PUBLIC;

    struct address embedded = address_unembed(target);
    if (machine->is_ours(target) || machine->is_ours(&embedded))
        return ACCESS_THIS_MACHINE;

    return ACCESS_PUBLIC_TARGET;
}

static enum access_reason judge(const struct access_caller *caller,
                                const struct address *target, enum targets targets,
                                const struct access_machine *machine)
{
    if (caller->kind == CALLER_UNKNOWN)
        return ACCESS_CALLER_UNKNOWN;

    if (!access_is_probeable(target))
        return ACCESS_NEVER;

    bool is_own = address_equals(&caller->address, target);
    switch (targets) {
    case TARGETS_AUTO:
        if (caller->kind == CALLER_OPERATOR && !is_own)
            return ACCESS_OPERATOR;
        return is_own ? ACCESS_OWN_ADDRESS : ACCESS_NOT_OWN_ADDRESS;
    case TARGETS_CALLER:
        return is_own ? ACCESS_OWN_ADDRESS : ACCESS_NOT_OWN_ADDRESS;
    case TARGETS_PUBLIC: {
        enum access_reason reason = judge_public(target, machine);
        return reason == ACCESS_PUBLIC_TARGET && is_own ? ACCESS_OWN_ADDRESS : reason;
    }
    case TARGETS_ANY:
        return is_own ? ACCESS_OWN_ADDRESS : ACCESS_ANY_TARGET;
    }
    return ACCESS_NEVER; /* not reached: a value outside the enum allows nothing */
}

static bool is_broadcast(const struct access_caller *caller, const struct address *target,
                         const struct access_machine *machine)
{
    bool is_peer =
        caller->ground != ACCESS_NAMED && address_equals(&caller->address, target);
    struct address ipv4 = address_unembed(target);
    return !is_peer && ipv4.sa.sa_family == AF_INET && machine->is_broadcast(&ipv4);
}

/* The name of a reason, and whether it allows. */
static const struct {
    const char *code;
    bool is_allowed;
} reasons[] = {
#define X(NAME, code, is_allowed) [ACCESS_##NAME] = {code, is_allowed},
    ACCESS_REASON_MAP(X)
#undef X
};

struct access_decision access_decide(const struct access_caller *caller,
                                     const struct address *target, enum targets targets,
                                     const struct access_machine *machine)
{
    struct access_decision decision = {.target = address_unmap(target)};
    decision.reason = judge(caller, &decision.target, targets, machine);
    if (reasons[decision.reason].is_allowed &&
        is_broadcast(caller, &decision.target, machine))
        decision.reason = ACCESS_NEVER;
    decision.is_allowed = reasons[decision.reason].is_allowed;
    return decision;
}

const char *access_reason_code(enum access_reason reason)
{
    return reasons[reason].code;
}

/* ---- how a refusal reads ------------------------------------------------------------ */

/* For the operator, whose own address is a loopback one. */
static const char *operator_hint(const struct access_caller *caller)
{
    return caller->kind == CALLER_OPERATOR
               ? " For the operator on loopback, PORT_CHECKER_TARGETS=auto is sufficient."
               : "";
}

static const char *reason_sentence(const struct access_caller *caller,
                                   enum access_reason reason, bool is_global)
{
    switch (reason) {
    case ACCESS_CALLER_UNKNOWN:
        return access_ground_sentence(caller->ground);
    case ACCESS_NEVER:
        return "unspecified, multicast, broadcast, reserved and IPv6 link-local addresses "
               "are never checked; no setting allows them.";
    case ACCESS_NOT_OWN_ADDRESS:
        if (is_global)
            return "a caller may name only its own address. To allow it, set "
                   "PORT_CHECKER_TARGETS=public or PORT_CHECKER_TARGETS=any on the "
                   "checker.";
        return "a caller may name only its own address. To allow it, set "
               "PORT_CHECKER_TARGETS=any on the checker.";
    case ACCESS_NOT_PUBLIC:
        return "it is not reachable from the whole internet (IANA special-purpose "
               "registries). To allow it, set PORT_CHECKER_TARGETS=any on the checker.";
    case ACCESS_THIS_MACHINE:
        return "it is an address of the checker's own machine. To allow it, set "
               "PORT_CHECKER_TARGETS=any on the checker.";
    case ACCESS_OWN_ADDRESS:
    case ACCESS_OPERATOR:
    case ACCESS_PUBLIC_TARGET:
    case ACCESS_ANY_TARGET:
        break;
    }
    return "it is allowed.";
}

/* Advice for a caller that may have sent its request over the wrong address family. */
static const char *family_hint(const struct access_caller *caller,
                               const struct address *target)
{
    int asked = address_family_number(target);
    if (address_is_loopback(&caller->address) ||
        address_family_number(&caller->address) == asked)
        return "";

    return asked == 4 ? " If it is yours, ask over IPv4 (curl -4)."
                      : " If it is yours, ask over IPv6 (curl -6).";
}

const char *access_explain(const struct access_caller *caller,
                           const struct access_decision *decision,
                           char ret_text[ACCESS_EXPLANATION_SIZE])
{
    char who[ADDRESS_TEXT_SIZE];
    char what[ADDRESS_TEXT_SIZE];
    enum access_reason reason = decision->reason;
    bool is_others = reason == ACCESS_NOT_OWN_ADDRESS;
    snprintf(
        ret_text, ACCESS_EXPLANATION_SIZE, "%s may not have %s checked: %s%s%s",
        address_format(&caller->address, who), address_format(&decision->target, what),
        reason_sentence(caller, reason, address_scope(&decision->target) == SCOPE_GLOBAL),
        is_others ? family_hint(caller, &decision->target) : "",
        is_others ? operator_hint(caller) : "");
    return ret_text;
}
