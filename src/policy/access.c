/* SPDX-License-Identifier: MIT */
#include "policy/access.h"

#include "base/text.h"
#include "net/scope.h"

#include <stdio.h>
#include <string.h>

/* ---- who calls ---------------------------------------------------------------------- */

/* host[:port] of a Host header or an Origin, if it can be the operator's. */
struct authority {
    bool is_localhost;      /* the name; `address` is then not used */
    struct address address; /* a loopback literal, port 0 */
    uint16_t port;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool element_parse(const char *text, size_t len, struct address *ret)
{
    while (len > 0 && is_blank(text[0])) {
        text++;
        len--;
    }
    while (len > 0 && is_blank(text[len - 1]))
        len--;

    struct address address;
    if (!address_parse(text, len, &address, NULL))
        return false;

    *ret = address_unmap(&address);
    return true;
}

static bool forwarded_for_parse(const char *list, const struct cidr_list *trusted_proxies,
                                struct address *ret)
{
    size_t end = strlen(list);
    for (;;) {
        size_t start = end;
        while (start > 0 && list[start - 1] != ',')
            start--;

        struct address address;
        if (!element_parse(list + start, end - start, &address))
            return false;

        if (start == 0 || !cidr_list_contains(trusted_proxies, &address)) {
            *ret = address;
            return true;
        }
        end = start - 1;
    }
}

static bool authority_port_parse(const char *text, size_t len, uint16_t *ret)
{
    uint64_t port;
    if (len < 2 || len > 6 || text[0] != ':' ||
        !text_parse_u64(text + 1, len - 1, UINT16_MAX, &port) || port == 0)
        return false;

    *ret = (uint16_t)port;
    return true;
}

/* IPv6 literals are in brackets, and nothing else is. */
static bool authority_parse(const char *text, uint16_t default_port, struct authority *ret)
{
    bool has_brackets = text[0] == '[';
    const char *host = has_brackets ? text + 1 : text;
    size_t host_len = strcspn(host, has_brackets ? "]" : ":");
    const char *rest = host + host_len;
    if (has_brackets && *rest++ != ']')
        return false;

    struct authority authority = {.port = default_port};
    authority.is_localhost =
        !has_brackets && text_equals_nocase(host, host_len, "localhost");
    if (!authority.is_localhost) {
        if (!address_parse(host, host_len, &authority.address, NULL) ||
            address_family_number(&authority.address) != (has_brackets ? 6 : 4) ||
            !address_is_loopback(&authority.address))
            return false;
    }
    if (*rest != '\0' && !authority_port_parse(rest, strlen(rest), &authority.port))
        return false;

    *ret = authority;
    return true;
}

static bool authority_equals(const struct authority *a, const struct authority *b)
{
    if (a->port != b->port || a->is_localhost != b->is_localhost)
        return false;

    return a->is_localhost || address_equals(&a->address, &b->address);
}

/* Whether the Host is a loopback one and the Origin, if any, is the same place. */
static bool is_own_page(const struct access_facts *facts)
{
    uint16_t default_port = facts->is_tls ? 443 : 80;
    struct authority host;
    if (!facts->host || !authority_parse(facts->host, default_port, &host))
        return false;

    if (!facts->origin)
        return true;

    const char *scheme = facts->is_tls ? "https://" : "http://";
    size_t scheme_len = strlen(scheme);
    if (strlen(facts->origin) < scheme_len ||
        !text_equals_nocase(facts->origin, scheme_len, scheme))
        return false;

    struct authority origin;
    return authority_parse(facts->origin + scheme_len, default_port, &origin) &&
           authority_equals(&origin, &host);
}

static bool is_operator(const struct access_facts *facts,
                        const struct cidr_list *trusted_proxies)
{
    if (!address_is_loopback(&facts->peer) || !address_is_loopback(&facts->local))
        return false;

    if (cidr_list_contains(trusted_proxies, &facts->peer))
        return false;

    if (!facts->is_http_1_1 || facts->has_forwarding_header || facts->forwarded_for)
        return false;

    const char *site = facts->sec_fetch_site;
    if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return false;

    return is_own_page(facts);
}

struct access_caller access_identify(const struct access_facts *facts,
                                     const struct cidr_list *trusted_proxies)
{
    struct access_caller caller = {
        .is_known = true,
        .is_operator = is_operator(facts, trusted_proxies),
        .address = address_unmap(&facts->peer),
    };
    if (facts->forwarded_for && cidr_list_contains(trusted_proxies, &facts->peer))
        caller.is_known =
            forwarded_for_parse(facts->forwarded_for, trusted_proxies, &caller.address);

    address_set_port(&caller.address, 0);
    return caller;
}

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

/* ---- may it ------------------------------------------------------------------------- */

static enum access_reason judge_public(const struct address *target,
                                       access_is_ours_fn *is_ours)
{
    if (address_scope(target) != SCOPE_GLOBAL)
        return ACCESS_NOT_PUBLIC;

    struct address embedded = address_unembed(target);
    if (is_ours(target) || is_ours(&embedded))
        return ACCESS_THIS_MACHINE;

    return ACCESS_PUBLIC_TARGET;
}

static enum access_reason judge(const struct access_caller *caller,
                                const struct address *target, enum targets targets,
                                access_is_ours_fn *is_ours)
{
    if (!caller->is_known)
        return ACCESS_BAD_FORWARDED;

    if (!access_is_probeable(target))
        return ACCESS_NEVER;

    bool is_own = address_equals(&caller->address, target);
    switch (targets) {
    case TARGETS_AUTO:
        if (caller->is_operator && !is_own)
            return ACCESS_OPERATOR;
        return is_own ? ACCESS_OWN_ADDRESS : ACCESS_NOT_OWN_ADDRESS;
    case TARGETS_CALLER:
        return is_own ? ACCESS_OWN_ADDRESS : ACCESS_NOT_OWN_ADDRESS;
    case TARGETS_PUBLIC: {
        enum access_reason reason = judge_public(target, is_ours);
        return reason == ACCESS_PUBLIC_TARGET && is_own ? ACCESS_OWN_ADDRESS : reason;
    }
    case TARGETS_ANY:
        return is_own ? ACCESS_OWN_ADDRESS : ACCESS_ANY_TARGET;
    }
    return ACCESS_NEVER; /* not reached: a value outside the enum allows nothing */
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
                                     access_is_ours_fn *is_ours)
{
    struct access_decision decision = {.target = address_unmap(target)};
    decision.reason = judge(caller, &decision.target, targets, is_ours);
    decision.is_allowed = reasons[decision.reason].is_allowed;
    return decision;
}

const char *access_reason_code(enum access_reason reason)
{
    return reasons[reason].code;
}

/* ---- how a refusal reads ------------------------------------------------------------ */

/* Advice for a caller that is on the checker's own machine or seems to be. */
static const char *loopback_hint(const struct access_caller *caller, enum targets targets)
{
    if (!address_is_loopback(&caller->address))
        return "";

    if (targets == TARGETS_AUTO)
        return " On loopback the operator may name any address, but only directly: "
               "HTTP/1.1, Host localhost or a loopback address, no proxy, no page of "
               "another site. A proxy must send X-Forwarded-For and be listed in "
               "PORT_CHECKER_TRUSTED_PROXIES.";

    return " For the operator on loopback PORT_CHECKER_TARGETS=auto is enough. A proxy "
           "must "
           "send X-Forwarded-For and be listed in PORT_CHECKER_TRUSTED_PROXIES.";
}

static const char *reason_sentence(enum access_reason reason, bool is_global)
{
    switch (reason) {
    case ACCESS_BAD_FORWARDED:
        return "the trusted proxy sent an X-Forwarded-For that is not a list of IP "
               "addresses, so the caller is unknown. Let it send plain addresses "
               "(nginx: proxy_set_header X-Forwarded-For $remote_addr;).";
    case ACCESS_NEVER:
        return "unspecified, multicast, broadcast, reserved and IPv6 link-local addresses "
               "are never checked; no setting allows it.";
    case ACCESS_NOT_OWN_ADDRESS:
        if (is_global)
            return "a caller may name only its own address. Allowed with "
                   "PORT_CHECKER_TARGETS=public or PORT_CHECKER_TARGETS=any on the "
                   "checker.";
        return "a caller may name only its own address. Allowed with "
               "PORT_CHECKER_TARGETS=any on the checker.";
    case ACCESS_NOT_PUBLIC:
        return "it is not reachable from the whole internet (IANA special-purpose "
               "registries). Allowed with PORT_CHECKER_TARGETS=any on the checker.";
    case ACCESS_THIS_MACHINE:
        return "it is an address of the checker's own machine. Allowed with "
               "PORT_CHECKER_TARGETS=any on the checker.";
    case ACCESS_OWN_ADDRESS:
    case ACCESS_OPERATOR:
    case ACCESS_PUBLIC_TARGET:
    case ACCESS_ANY_TARGET:
        break;
    }
    return "it is allowed.";
}

/* Advice for a caller with two families that asked about an address of the other one. */
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
                           const struct access_decision *decision, enum targets targets,
                           char ret_text[ACCESS_EXPLANATION_SIZE])
{
    char who[ADDRESS_TEXT_SIZE];
    char what[ADDRESS_TEXT_SIZE];
    enum access_reason reason = decision->reason;
    bool is_others = reason == ACCESS_NOT_OWN_ADDRESS;
    snprintf(ret_text, ACCESS_EXPLANATION_SIZE, "%s may not have %s checked: %s%s%s",
             address_format(&caller->address, who), address_format(&decision->target, what),
             reason_sentence(reason, address_scope(&decision->target) == SCOPE_GLOBAL),
             is_others ? family_hint(caller, &decision->target) : "",
             is_others ? loopback_hint(caller, targets) : "");
    return ret_text;
}
