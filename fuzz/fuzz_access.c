/* SPDX-License-Identifier: MIT
 *
 * Everything that a client can say about itself: X-Forwarded-For, Host, Origin,
 * Sec-Fetch-Site, Forwarded and X-Forwarded-Host. The input is lines: flags (one byte
 * each), the address of the target, then the headers; a missing line is an absent header.
 * No text may make another caller the operator, invent a caller that no trusted proxy
 * named, or get an address probed that belongs to no host.
 */
#include "policy/access.h"

#include "net/scope.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum line {
    LINE_FLAGS,
    LINE_TARGET,
    LINE_FORWARDED_FOR,
    LINE_HOST,
    LINE_ORIGIN,
    LINE_SITE,
    LINE_FORWARDED,
    LINE_FORWARDED_HOST,
    LINE_COUNT,
};

#define OUR_IPV4  "198.41.0.4"
#define BROADCAST "192.168.1.255"

static struct address parse(const char *text)
{
    struct address address;
    bool is_read = address_parse(text, strlen(text), &address, NULL);
    assert(is_read);
    return address;
}

static bool is_ours(const struct address *address)
{
    struct address ours = parse(OUR_IPV4);
    return address_equals(address, &ours);
}

static bool is_broadcast(const struct address *address)
{
    struct address broadcast = parse(BROADCAST);
    return address_equals(address, &broadcast);
}

static const struct access_machine machine = {is_ours, is_broadcast};

/* Splits the copy into terminated lines. */
static void split(char *copy, char *lines[LINE_COUNT])
{
    for (size_t i = 0; i < LINE_COUNT; i++) {
        lines[i] = copy;
        if (copy)
            copy = strchr(copy, '\n');
        if (copy)
            *copy++ = '\0';
    }
}

/* An independent check of what the operator's Host may look like. */
static bool is_loopback_host(const char *host)
{
    return strncasecmp(host, "localhost", 9) == 0 || strncmp(host, "127.", 4) == 0 ||
           (host[0] == '[' && strchr(host, ']'));
}

static void check_operator(const struct access_facts *facts)
{
    assert(address_is_loopback(&facts->peer) && address_is_loopback(&facts->local));
    assert(facts->is_http_1_1 && !facts->has_forwarding_header);
    assert(!facts->forwarded_for && !facts->forwarded);
    assert(facts->host && is_loopback_host(facts->host));
    assert(!strpbrk(facts->host, " \t,/@?#%\\"));
    if (facts->origin && !facts->is_origin_listed) {
        assert(strncasecmp(facts->origin, facts->is_tls ? "https://" : "http://",
                           facts->is_tls ? 8 : 7) == 0);
        const char *origin_host = facts->origin + (facts->is_tls ? 8 : 7);
        assert(is_loopback_host(origin_host));
        assert(!strpbrk(origin_host, " \t,/@?#%\\"));
    }
    assert(facts->is_origin_listed || !facts->sec_fetch_site ||
           strcmp(facts->sec_fetch_site, "none") == 0 ||
           strcmp(facts->sec_fetch_site, "same-origin") == 0);
}

static void check_caller(const struct access_facts *facts, const struct cidr_list *trusted,
                         const struct access_caller *caller)
{
    struct address peer = address_unmap(&facts->peer);
    bool is_proxy = cidr_list_contains(trusted, &peer);
    struct address unmapped = address_unmap(&caller->address);
    assert(address_equals(&unmapped, &caller->address));
    assert(address_port(&caller->address) == 0);

    if (caller->kind == CALLER_OPERATOR) {
        assert(!is_proxy);
        check_operator(facts);
        return;
    }
    if (caller->kind == CALLER_UNKNOWN) {
        assert(address_equals(&caller->address, &peer));
        assert(strstr(access_ground_sentence(caller->ground), "http://localhost"));
        return;
    }
    assert(!address_is_loopback(&caller->address));
    if (!is_proxy)
        assert(address_equals(&caller->address, &peer));
    else
        assert(facts->forwarded_for || facts->forwarded);
}

static void check_decision(const struct access_caller *caller, const struct address *target,
                           enum targets targets)
{
    struct access_decision decision = access_decide(caller, target, targets, &machine);
    struct address unmapped = address_unmap(target);
    assert(address_equals(&decision.target, &unmapped));

    bool is_own = address_equals(&caller->address, &unmapped);
    if (decision.is_allowed) {
        assert(caller->kind != CALLER_UNKNOWN && access_is_probeable(target));
        assert(is_own || !is_broadcast(&unmapped));
        assert(targets != TARGETS_CALLER || is_own);
        assert(targets != TARGETS_AUTO || is_own || caller->kind == CALLER_OPERATOR);
        assert(targets != TARGETS_PUBLIC || address_scope(target) == SCOPE_GLOBAL);
        struct address embedded = address_unembed(target);
        assert(targets != TARGETS_PUBLIC || !is_ours(&embedded));
    } else {
        struct address embedded = address_unembed(target);
        assert(targets != TARGETS_ANY || caller->kind == CALLER_UNKNOWN ||
               !access_is_probeable(target) || is_broadcast(&embedded));
        char text[ACCESS_EXPLANATION_SIZE];
        access_explain(caller, &decision, text);
        assert(text[strlen(text) - 1] == '.'); /* the sentence is complete */
    }
    assert((decision.reason == ACCESS_CALLER_UNKNOWN) == (caller->kind == CALLER_UNKNOWN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const peers[] = {
        "127.0.0.1",   "::1",         "::ffff:127.0.0.1", "10.0.0.1",
        "203.0.113.9", "2001:db8::1", "::ffff:10.0.0.2",  OUR_IPV4};
    char copy[4096];
    if (size >= sizeof copy)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';

    char *lines[LINE_COUNT];
    split(copy, lines);
    unsigned flags[4] = {0};
    for (size_t i = 0; i < 4 && lines[LINE_FLAGS][i] != '\0'; i++)
        flags[i] = (unsigned char)lines[LINE_FLAGS][i];

    struct cidr_list trusted = {.count = flags[3] % 4};
    static const char *const blocks[] = {"10.0.0.0/8", "2001:db8::/32", "127.0.0.0/8"};
    for (size_t i = 0; i < trusted.count; i++) {
        bool is_read = cidr_parse(blocks[i], strlen(blocks[i]), &trusted.items[i], NULL);
        assert(is_read);
    }
    struct access_facts facts = {
        .peer = parse(peers[flags[0] % 8]),
        .local = parse(peers[flags[1] % 8]),
        .is_http_1_1 = !(flags[2] & 1),
        .is_tls = flags[2] & 2,
        .has_forwarding_header = flags[2] & 4,
        .forwarded_for = flags[2] & 8 ? lines[LINE_FORWARDED_FOR] : NULL,
        .host = lines[LINE_HOST],
        .origin = lines[LINE_ORIGIN],
        .sec_fetch_site = lines[LINE_SITE],
        .forwarded = flags[2] & 16 ? lines[LINE_FORWARDED] : NULL,
        .forwarded_host = lines[LINE_FORWARDED_HOST],
        .is_origin_listed = lines[LINE_ORIGIN] && flags[2] & 32,
        .is_any_origin_listed = flags[2] & 64,
    };
    struct access_caller caller = access_identify(&facts, &trusted);
    check_caller(&facts, &trusted, &caller);

    struct address target = caller.address;
    if (lines[LINE_TARGET])
        address_parse(lines[LINE_TARGET], strlen(lines[LINE_TARGET]), &target, NULL);
    for (int targets = TARGETS_AUTO; targets <= TARGETS_ANY; targets++)
        check_decision(&caller, &target, (enum targets)targets);
    return 0;
}
