/* SPDX-License-Identifier: MIT
 *
 * access_identify(): the only place that decides who calls.
 */
#include "policy/access.h"

#include "base/text.h"
#include "net/scope.h"
#include "policy/forwarded.h"

#include <string.h>
#include <strings.h>

/* ---- hosts in headers --------------------------------------------------------------- */

/* host[:port] of a Host header or an Origin, if it can be the operator's. */
struct authority {
    bool is_localhost;      /* the name; `address` is then not used */
    struct address address; /* a loopback literal, port 0 */
    uint16_t port;
};

static bool authority_port_parse(const char *text, size_t len, uint16_t *ret)
{
    uint64_t port;
    if (len < 2 || len > 6 || text[0] != ':' ||
        !text_parse_u64(text + 1, len - 1, UINT16_MAX, &port) || port == 0)
        return false;

    *ret = (uint16_t)port;
    return true;
}

/* Debian gives the machine's own name this address in /etc/hosts, so it stands for that
 * name, which others may use too. */
static bool is_of_own_name(const struct address *address)
{
    static const uint8_t own_name[] = {127, 0, 1, 1};
    struct address unmapped = address_unmap(address);
    return address_has_prefix(&unmapped, AF_INET, own_name, 32);
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
            !address_is_loopback(&authority.address) || is_of_own_name(&authority.address))
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

/* ---- the page that asks ------------------------------------------------------------- */

/* host[:port] with any host. */
struct place {
    const char *host; /* not terminated */
    size_t host_len;
    const char *port; /* not terminated */
    size_t port_len;  /* 0: none is named */
};

static struct place place_of(const char *text, size_t len)
{
    size_t host_len = len;
    while (host_len > 0 && text[host_len - 1] >= '0' && text[host_len - 1] <= '9')
        host_len--;
    bool has_port = host_len > 1 && host_len < len && text[host_len - 1] == ':';
    host_len = has_port ? host_len - 1 : len;
    const char *port = text + host_len + has_port;
    return (struct place){text, host_len, port, (size_t)(text + len - port)};
}

static bool is_same_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* Browsers write names and ports in Origin as they do in Host, and omit a scheme's default
 * port in both. A proxy may put the port into X-Forwarded-Host, or leave it out. */
static bool is_at(const char *origin, struct place place, bool is_from_proxy)
{
    const char *authority = strstr(origin, "://");
    if (!authority)
        return false;

    const char *default_port = authority == origin + 5 ? "443" : "80"; /* https, http */
    struct place page = place_of(authority + 3, strlen(authority + 3));
    if (place.host_len != page.host_len ||
        strncasecmp(place.host, page.host, page.host_len) != 0)
        return false;
    if (is_from_proxy && place.port_len == 0)
        return true;

    if (page.port_len == 0)
        page = (struct place){.port = default_port, .port_len = strlen(default_port)};
    if (place.port_len == 0)
        place = (struct place){.port = default_port, .port_len = strlen(default_port)};
    return is_same_text(page.port, page.port_len, place.port, place.port_len);
}

/* The first element is the host that the browser named. */
static struct place forwarded_place(const char *list)
{
    list += strspn(list, " \t");
    return place_of(list, strcspn(list, " \t,"));
}

static bool is_own_site(const char *site)
{
    return strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
}

static bool is_other_site(const struct access_facts *facts, bool is_proxy)
{
    if (facts->is_origin_listed || (facts->origin && facts->is_any_origin_listed))
        return false;
    if (facts->sec_fetch_site)
        return !is_own_site(facts->sec_fetch_site);
    if (!facts->origin)
        return false;

    if (is_proxy)
        return facts->forwarded_host &&
               !is_at(facts->origin, forwarded_place(facts->forwarded_host), true);
    return !facts->host ||
           !is_at(facts->origin, place_of(facts->host, strlen(facts->host)), false);
}

/* ---- the operator ------------------------------------------------------------------- */

/* Whether the Host is a loopback address or localhost, and the Origin, if there is one, is
 * the same or is listed. */
static bool is_own_page(const struct access_facts *facts)
{
    uint16_t default_port = facts->is_tls ? 443 : 80;
    struct authority host;
    if (!facts->host || !authority_parse(facts->host, default_port, &host))
        return false;

    if (!facts->origin || facts->is_origin_listed)
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

/* Proxies may speak HTTP/1.0 to their backends; today's clients do not use it. */
static bool has_trace_of_proxy(const struct access_facts *facts)
{
    return !facts->is_http_1_1 || facts->has_forwarding_header || facts->forwarded_for ||
           facts->forwarded;
}

static bool is_operator(const struct access_facts *facts)
{
    if (!address_is_loopback(&facts->peer) || !address_is_loopback(&facts->local) ||
        has_trace_of_proxy(facts))
        return false;

    const char *site = facts->sec_fetch_site;
    if (site && !facts->is_origin_listed && !is_own_site(site))
        return false;

    return is_own_page(facts);
}

/* ---- who calls ---------------------------------------------------------------------- */

/* Only the operator can have a loopback address, and no host can have a multicast or
 * reserved one. */
static bool is_of_a_caller(const struct address *address)
{
    enum address_scope scope = address_scope(address);
    return scope != SCOPE_LOOPBACK && scope != SCOPE_MULTICAST && scope != SCOPE_RESERVED;
}

/* `ret` is written only for ACCESS_NAMED. */
static enum access_ground named_by_proxy(const struct access_facts *facts,
                                         const struct cidr_list *trusted_proxies,
                                         struct address *ret)
{
    struct address named;
    if (!facts->forwarded_for && !facts->forwarded)
        return ACCESS_NOT_NAMED;

    bool is_read = facts->forwarded_for
                       ? forwarded_for_parse(facts->forwarded_for, trusted_proxies, &named)
                       : forwarded_parse(facts->forwarded, trusted_proxies, &named);
    if (!is_read)
        return ACCESS_UNREADABLE;
    if (!is_of_a_caller(&named))
        return ACCESS_NO_HOST;

    *ret = named;
    return ACCESS_NAMED;
}

static enum access_ground of_own_machine(const struct access_facts *facts,
                                         const struct address *peer)
{
    if (is_operator(facts))
        return ACCESS_AT_HOME;
    if (has_trace_of_proxy(facts))
        return ACCESS_UNDECLARED_PROXY;
    return is_of_a_caller(peer) ? ACCESS_DIRECT : ACCESS_STRANGER;
}

/* Whether this machine is connected to itself. */
static bool is_from_own_machine(const struct access_facts *facts,
                                const struct address *peer)
{
    struct address local = address_unmap(&facts->local);
    return address_is_loopback(peer) || address_equals(peer, &local);
}

static const struct {
    enum access_kind kind;
    const char *code, *sentence;
} grounds[] = {
#define X(NAME, kind, code, sentence) [ACCESS_##NAME] = {kind, code, sentence},
    ACCESS_GROUND_MAP(X)
#undef X
};

const char *access_ground_code(enum access_ground ground)
{
    return grounds[ground].code;
}

const char *access_ground_sentence(enum access_ground ground)
{
    return grounds[ground].sentence;
}

struct access_caller access_identify(const struct access_facts *facts,
                                     const struct cidr_list *trusted_proxies)
{
    struct access_caller caller = {
        .ground = ACCESS_DIRECT,
        .address = address_unmap(&facts->peer),
    };
    bool is_proxy = cidr_list_contains(trusted_proxies, &caller.address);

    if (is_proxy)
        caller.ground = named_by_proxy(facts, trusted_proxies, &caller.address);
    else if (is_from_own_machine(facts, &caller.address))
        caller.ground = of_own_machine(facts, &caller.address);

    address_set_port(&caller.address, 0);
    caller.kind = grounds[caller.ground].kind;
    caller.is_other_site = is_other_site(facts, is_proxy);
    return caller;
}
