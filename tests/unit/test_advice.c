/* SPDX-License-Identifier: MIT
 *
 * Reports: how ports are grouped, what the report says about them, and what to do.
 */
#include "verifier/advice.h"

#include "verifier/scene.h"

#include "addresses.h"
#include "places.h"
#include "verdicts.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct setup {
    const char *local_ip, *public_ip;
    size_t count;
    uint16_t ports[4];
    struct local_port local[4];
    struct remote_verdict remotes[4];
    bool is_unanswered; /* the checker failed */
    enum link_kind kind;
    enum vantage vantage;
    struct remote_limit limit;
    uint16_t inner[4];      /* 0: the same port */
    bool has_router_spoken; /* NAT-PMP, and told `outer` if that is not NULL */
    uint16_t router_result;
    const char *outer;
    const char *places[4]; /* what those of the checker say about each port */
};

static void router_fill(const struct setup *setup, struct family_report *family)
{
    family->router = (struct router_view){
        .is_asked = true,
        .address = address_of("192.168.1.1"),
        .answer.speech[ROUTER_NATPMP] = {SPEECH_SPOKEN, setup->router_result},
        .answer.has_outer = setup->outer != NULL,
    };
    if (setup->outer)
        family->router.answer.outer_address = address_of(setup->outer);
    router_view_judge(&family->router, &family->public_address);
    family->signs.bits |= router_view_signs(&family->router).bits;
}

static enum family family_of(const struct setup *setup)
{
    return strchr(setup->local_ip, ':') ? FAMILY_6 : FAMILY_4;
}

static struct report *report_of(const struct setup *setup, const uint16_t *required,
                                size_t required_count, const uint16_t *in_use,
                                size_t in_use_count)
{
    struct report *report;
    struct family_report *family;
    assert_true(report_new(required, required_count, &report, NULL));
    const enum family which = family_of(setup);
    assert_true(family_report_new(which, setup->ports, setup->count, 1, &family, NULL));
    report->families[which] = family;
    family->has_local = family->has_public = true;
    if (setup->kind == LINK_TUNNEL)
        memcpy(family->link.name, "tun0", sizeof "tun0");
    if (setup->kind == LINK_DIALED)
        memcpy(family->link.name, "ppp0", sizeof "ppp0");
    if (setup->kind == LINK_CELLULAR)
        memcpy(family->link.name, "wwan0", sizeof "wwan0");
    family->local_address = address_of(setup->local_ip);
    family->public_address = address_of(setup->public_ip);
    family->signs =
        signs_read(&family->local_address, setup->kind, &family->public_address);
    if (setup->has_router_spoken)
        router_fill(setup, family);
    memcpy(family->local, setup->local, setup->count * sizeof *family->local);
    family->checker_count = 1;
    family->checkers[0].url = strdup("http://checker");
    struct checker_result *result = &family->checkers[0].result;
    result->has_local = true;
    result->peer_address = address_of("203.0.113.1");
    result->vantage = setup->vantage;
    result->limit = setup->limit;
    for (size_t i = 0; i < setup->count; i++)
        if (setup->inner[i] != 0)
            family->inner[i] = setup->inner[i];
    if (!setup->is_unanswered) {
        struct remote_verdict *verdicts = calloc(setup->count, sizeof *verdicts);
        assert_non_null(verdicts);
        memcpy(verdicts, setup->remotes, setup->count * sizeof *verdicts);
        result->verdicts = verdicts;
        result->places = place_table_of(setup->places, setup->count);
    }

    const struct report_policy policy = {
        .quorum = 1,
        .required = required,
        .required_count = required_count,
        .in_use = in_use,
        .in_use_count = in_use_count,
    };
    assert_true(family_report_judge(family, &policy, NULL));
    return report;
}

/* What the report says about the first group, which begins with the first port. */
static void check_words(const struct setup *setup, const char *label, const char *why,
                        const char *remedy)
{
    struct report *report = report_of(setup, NULL, 0, NULL, 0);
    const struct family_report *family = report->families[family_of(setup)];
    const char *expected[] = {
        [ADVICE_LABEL] = label, [ADVICE_WHY] = why, [ADVICE_REMEDY] = remedy};
    for (enum advice_part part = ADVICE_LABEL; part <= ADVICE_REMEDY; part++) {
        struct text text;
        text_init(&text, 4096);
        advice_put(report, family, &family->groups[0], part, &text);
        assert_string_equal(text.data, expected[part]);
        text_done(&text);
    }
    report_free(report);
}

#define SAID_SECOND_OF(them)                                                               \
    "if the WAN address of the router is not 203.0.113.7: a private address (10.*, "       \
    "172.16.* to 172.31.*, 192.168.*) is that of a second router in front of it, which "   \
    "has to be put into bridge mode or has to forward " them " to the first; an address "  \
    "in 100.64.0.0/10 shows carrier-grade NAT, as does a second router that is not "       \
    "yours: "                                                                              \
    "ask the internet provider for a public address"
#define SAID_SECOND SAID_SECOND_OF("them")

#define NATTED      .local_ip = "192.168.1.5", .public_ip = "203.0.113.7"
#define PUBLIC      .local_ip = "203.0.113.7", .public_ip = "203.0.113.7"

static void every_cause_has_its_sentence_and_its_remedy(void **state)
{
    (void)state;
    check_words(&(struct setup){NATTED, 1, {7466}, {ACCEPTED}, {MATCH}}, "good", "", "");
    check_words(
        &(struct setup){
            NATTED, 2, {50800, 50801}, {BOUND, BOUND}, {OTHER(50810), OTHER(50811)}},
        "open: leads to ports 50810-50811",
        "the router forwards ports 50800-50801 to ports 50810-50811 of this machine",
        "in the router, forward TCP ports 50800-50801 to 192.168.1.5 (same port numbers)");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {SILENT}},
        "open: something else answers",
        "something else answers on port 50800: another machine, or a proxy that accepts "
        "every connection",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port number); if it "
        "already does, look for a SYN proxy or DDoS protection that answers in place of "
        "192.168.1.5; if a rule of this machine redirects port 50800 to a machine that you "
        "rent out, add "
        "it to --in-use, or run port-verifier as root with nft or iptables-save, "
        "which show such rules");
    check_words(
        &(struct setup){NATTED, .count = 2, .ports = {60800, 60801},
                        .inner = {50800, 50801}, .local = {BOUND, BOUND},
                        .remotes = {SILENT, SILENT}},
        "open: something else answers",
        "something else answers on ports 60800-60801: another machine, or a proxy "
        "that accepts every connection",
        "in the router, forward TCP ports 60800-60801 to ports 50800-50801 of "
        "192.168.1.5; if it already does, look for a SYN proxy or DDoS protection "
        "that answers in place of 192.168.1.5; if a rule of this machine redirects ports "
        "60800-60801 to a machine that you rent out, add them to --in-use, or run "
        "port-verifier as root with nft or iptables-save, "
        "which show such rules");
    check_words(
        &(struct setup){NATTED, .count = 2, .ports = {50800, 50801},
                        .local = {BOUND, BOUND}, .remotes = {LIMITED, LIMITED},
                        .limit = {true, 20, 1.25}},
        "limited: no longer answered",
        "could not judge ports 50800-50801: the address stopped answering the "
        "checker (20 ports were judged before, then 1.2 a second), as under a rate "
        "limit, scan protection or a ban",
        "allow the checker's address 203.0.113.1 in the flood and scan protection of "
        "192.168.1.5 and of every router in front of it; until then, list the ports "
        "that matter most in --required, because they are checked first, and allow "
        "more time with --patience 3m");
    check_words(
        &(struct setup){PUBLIC, .count = 1, .ports = {50800}, .local = {ACCEPTED},
                        .remotes = {MATCH}, .vantage = VANTAGE_NETWORK},
        "open: seen from this network only",
        "port 50800 is reachable from this network, in which the checker runs too; "
        "that proves nothing about the internet",
        "ask a checker on the internet; to advertise port 50800 in this network only, "
        "pass --lan");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {BOUND}, {SILENT}},
                "open: something else answers",
                "something else answers on port 50800: another machine, or a proxy that "
                "accepts every connection",
                "look for a SYN proxy or DDoS protection in front of 203.0.113.7 that "
                "answers in its place; if a rule of this machine redirects port 50800 to a "
                "machine that you rent out, add "
                "it to --in-use, or run port-verifier as root with nft or iptables-save, "
                "which show such rules");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {OPEN}}, "good: listener not verified",
        "port 50800 is reachable, but what answers could not be verified: the checker "
        "does not support proofs",
        "to make sure that this machine answers, use a checker that supports proofs");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {IN_USE}, {SILENT}},
        "good: listener not verified (in use by nginx)",
        "port 50800 is reachable, but what answers could not be verified: nginx is using "
        "it on this machine",
        "if that program is yours, add port 50800 to --in-use; otherwise stop it and run "
        "port-verifier again");
    check_words(
        &(struct setup){NATTED, 1, {7466}, {IN_USE}, {SILENT}},
        "good: listener not verified (in use by nginx)",
        "port 7466 is reachable, but what answers could not be verified: nginx is using "
        "it on this machine",
        "nothing, if that is the provider; to verify the listener as well, stop it and run "
        "port-verifier again");
    check_words(
        &(struct setup){NATTED, 1, {443}, {FORBIDDEN}, {SILENT}},
        "good: listener not verified (no permission to bind)",
        "port 443 is reachable, but what answers could not be verified: it could not be "
        "bound on this machine",
        "if your own program answers there, add port 443 to --in-use");
    check_words(&(struct setup){NATTED, 1, {50800}, {ACCEPTED}, {SILENT}},
                "open: proof lost",
                "connections to port 50800 arrive here, but the proof does not reach the "
                "checker: something on the path answers for this machine, or the path is "
                "very slow",
                "look for a transparent proxy or an inspecting firewall on the path, and "
                "exempt port 50800 from it");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {CLOSED}},
        "closed: connection refused",
        "port 50800 is closed, although this machine listens: the port forward leads to "
        "another machine, or a firewall rejects connections",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port number), and "
        "allow "
        "it in every firewall on the path; " SAID_SECOND_OF("it"));
    check_words(
        &(struct setup){PUBLIC, 2, {50800, 50801}, {BOUND, BOUND}, {CLOSED, CLOSED}},
        "closed: connection refused",
        "ports 50800-50801 are closed, although this machine listens: a firewall rejects "
        "connections",
        "allow TCP ports 50800-50801 from any address in the firewall of 203.0.113.7 and "
        "of "
        "every router in front of it");
    check_words(&(struct setup){NATTED, 1, {50800}, {IN_USE_LOCALLY}, {CLOSED}},
                "closed: connection refused (in use by nginx)",
                "port 50800 is closed: nginx listens on the loopback interface only",
                "make nginx listen on all addresses, or stop it");
    check_words(
        &(struct setup){NATTED, 1, {443}, {FORBIDDEN}, {CLOSED}},
        "closed: nothing listens (no permission to bind)",
        "port 443 is closed, and nothing listens on it: this user may not bind ports "
        "below 1024",
        "run port-verifier with the right to bind ports below 1024 "
        "(CAP_NET_BIND_SERVICE), or lower the sysctl net.ipv4.ip_unprivileged_port_start");
    check_words(&(struct setup){NATTED, 1, {50800}, {IN_USE_BY_CALLER}, {CLOSED}},
                "closed: nothing listens (in use by another program)",
                "port 50800 is closed, and nothing listens on it: another program is using "
                "it for outgoing connections",
                "run port-verifier again in a minute; to keep outgoing connections "
                "off port 50800, add it to the sysctl net.ipv4.ip_local_reserved_ports");
    check_words(
        &(struct setup){
            NATTED, 1, {50800}, {{.binding = BINDING_FAILED, .errnum = EIO}}, {CLOSED}},
        "closed: nothing listens (could not be bound: Input/output error)",
        "port 50800 is closed, and nothing listens on it",
        "configure the provider to listen on port 50800");
    check_words(
        &(struct setup){NATTED, 2, {50800, 50801}, {BOUND, BOUND}, {FILTERED, FILTERED}},
        "filtered: no incoming connections",
        "no connections arrive here: a missing port forward, a firewall, a second router, "
        "or "
        "carrier-grade NAT (the checker sees 203.0.113.7 instead of 192.168.1.5)",
        "in the router, forward TCP ports 50800-50801 to 192.168.1.5 (same port numbers), "
        "and allow them in the firewall of this machine; " SAID_SECOND);
    check_words(
        &(struct setup){.local_ip = "100.64.0.5",
                        .public_ip = "203.0.113.7",
                        1,
                        {50800},
                        {BOUND},
                        {FILTERED}},
        "filtered: no incoming connections",
        "no connections arrive here: the internet provider uses carrier-grade NAT (the "
        "checker sees 203.0.113.7 instead of 100.64.0.5, and one of the two is in "
        "100.64.0.0/10)",
        "a port forward does not help behind carrier-grade NAT: ask the internet provider "
        "for a public IPv4 address, or use IPv6");
    check_words(
        &(struct setup){PUBLIC, 1, {50800}, {BOUND}, {FILTERED}},
        "filtered: no incoming connections",
        "no connections arrive here: a firewall on this machine or on the path to it "
        "blocks "
        "them",
        "allow TCP port 50800 from any address in the firewall of 203.0.113.7 and of every "
        "router in front of it");
    check_words(
        &(struct setup){.local_ip = "10.0.0.5",
                        .public_ip = "10.0.0.5",
                        .count = 1,
                        .ports = {50800},
                        .local = {BOUND},
                        .remotes = {FILTERED},
                        .vantage = VANTAGE_NETWORK},
        "filtered: no incoming connections",
        "no connections arrive here: a firewall on this machine or on the path to it "
        "blocks "
        "them (10.0.0.5 is a private address)",
        "allow TCP port 50800 from any address in the firewall of 10.0.0.5 and of every "
        "router in front of it");
    check_words(
        &(struct setup){NATTED,
                        3,
                        {50800, 50801, 50802},
                        {BOUND, BOUND, ACCEPTED},
                        {FILTERED, FILTERED, MATCH}},
        "filtered: not forwarded",
        "no answer from ports 50800-50801, only from 50802: the router does not forward "
        "them",
        "in the router, forward TCP ports 50800-50801 to 192.168.1.5 (same port numbers), "
        "and allow them in the firewall of this machine");
    check_words(
        &(struct setup){NATTED, 2, {50800, 50801}, {BOUND, BOUND}, {FILTERED, UNREACHABLE}},
        "filtered: not forwarded",
        "no answer from port 50800: the router does not forward it",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port number), and "
        "allow "
        "it in the firewall of this machine");
    check_words(
        &(struct setup){PUBLIC, 2, {50800, 50801}, {BOUND, ACCEPTED}, {FILTERED, MATCH}},
        "filtered: blocked by a firewall",
        "no answer from port 50800, only from 50801: a firewall blocks it",
        "allow TCP port 50800 from any address in the firewall of 203.0.113.7 and of every "
        "router in front of it");
    check_words(
        &(struct setup){PUBLIC, 2, {50800, 50801}, {BOUND, BOUND}, {FILTERED, UNREACHABLE}},
        "filtered: blocked by a firewall",
        "no answer from port 50800: a firewall blocks it",
        "allow TCP port 50800 from any address in the firewall of 203.0.113.7 and of every "
        "router in front of it");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {SYN_SEEN}, {FILTERED}},
        "filtered: replies are lost",
        "connections to port 50800 arrive here, but the replies do not reach the checker",
        "check the firewall rules for outgoing packets, here and in the router, and that "
        "replies leave through the interface on which the connection arrived");
    check_words(&(struct setup){NATTED, 1, {50800}, {BOUND}, {UNREACHABLE}},
                "unreachable: No route to host",
                "the network reports that port 50800 is unreachable: No route to host",
                "allow TCP port 50800 from any address in the firewall of this machine "
                "(firewalld rejects like this by default); if it does, look for a router "
                "or firewall on the path that rejects connections, and check that "
                "203.0.113.7 is still your address");
}

static void what_this_machine_does_with_a_port_is_told(void **state)
{
    (void)state;
    check_words(&(struct setup){PUBLIC, 1, {7466}, {LED}, {MISMATCH}},
                "good: redirected to 10.88.0.2",
                "port 7466 is reachable; the packet filter of this machine redirects it to "
                "10.88.0.2",
                "nothing, if the provider or a machine that you rent out answers there");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {LED}, {MISMATCH}},
                "good: redirected to 10.88.0.2",
                "port 50800 is reachable, but what answers could not be verified: the "
                "packet filter of this machine redirects it to 10.88.0.2",
                "if a machine that you rent out answers there, add port 50800 to --in-use; "
                "otherwise remove the rule and run port-verifier again");
    check_words(
        &(struct setup){PUBLIC, 1, {50800}, {LED}, {CLOSED}},
        "redirected to 10.88.0.2: Connection refused",
        "the packet filter of this machine redirects port 50800 to 10.88.0.2, and no "
        "connection is accepted there (Connection refused)",
        "start the program in the container or the virtual machine that uses port "
        "50800, or remove the rule that redirects it there");
    check_words(
        &(struct setup){PUBLIC, 1, {50800}, {LED}, {FILTERED}},
        "filtered: no incoming connections",
        "no answer from port 50800: the packet filter of this machine redirects it to "
        "10.88.0.2, where nothing answers, or no connections arrive here",
        "make sure that the program at 10.88.0.2 runs and answers this machine; if "
        "it does, allow TCP port 50800 from any address in the firewall of every "
        "router in front of 203.0.113.7 and, on a rented server, in that of the "
        "hosting provider");
    check_words(
        &(struct setup){NATTED, 2, {50800, 50801}, {LED, ACCEPTED}, {FILTERED, MATCH}},
        "filtered: not forwarded",
        "no answer from port 50800: the packet filter of this machine redirects it to "
        "10.88.0.2, where nothing answers, or no connections arrive here",
        "make sure that the program at 10.88.0.2 runs and answers this machine; if it "
        "does, in the router, forward TCP port 50800 to 192.168.1.5 (same port number)");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {REDIRECTED}, {OTHER(50801)}},
        "open: leads to port 50801",
        "the packet filter of this machine redirects port 50800 to port 50801",
        "remove the rule that redirects port 50800 there; if a program of yours answers "
        "there, add it to --in-use");
    check_words(
        &(struct setup){PUBLIC, 1, {50800}, {BOUND}, {OTHER(50801)}},
        "open: leads to port 50801",
        "a rule of this machine, or a router or proxy in front of it, redirects port "
        "50800 to port 50801",
        "remove the rule or the forward that redirects port 50800 there");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {IN_USE_BY_UNIT}, {OPEN}},
                "good: listener not verified (in use by a socket unit of systemd)",
                "port 50800 is reachable, but what answers could not be verified: a socket "
                "unit of systemd is using it on this machine",
                "if that program is yours, add port 50800 to --in-use; otherwise stop it "
                "and run port-verifier again");
    check_words(
        &(struct setup){.local_ip = "172.17.0.2",
                        .public_ip = "203.0.113.7",
                        .count = 1,
                        .ports = {50800},
                        .local = {BOUND},
                        .remotes = {CLOSED}},
        "closed: connection refused",
        "port 50800 is closed, although this machine listens: 172.17.0.2 looks like the "
        "address of a container or a virtual machine, and its host or the router does not "
        "forward port 50800 to it",
        "the address of this machine looks like that of a container or a virtual machine: "
        "publish TCP port 50800 on its host (-p of Docker and Podman), or use the network "
        "of the host, and in the router, forward it to the address of the host");
    check_words(
        &(struct setup){PUBLIC, .count = 1, .ports = {50800}, .local = {MAY_BE_DROPPED},
                        .remotes = {LIMITED}, .limit = {true, 20, 1.25}},
        "limited: no longer answered",
        "could not judge port 50800: the address stopped answering the checker (20 ports "
        "were judged before, then 1.2 a second), as under a rate limit, scan protection "
        "or a ban",
        "allow the checker's address 203.0.113.1 in the firewall of this machine, which "
        "may "
        "limit it (table inet f, chain in), and in the flood and scan protection of every "
        "router in front of it; until then, list the ports that matter most in --required, "
        "because they are checked first, and allow more time with --patience 3m");
    check_words(
        &(struct setup){PUBLIC, 1, {50800}, {MAY_BE_DROPPED}, {CLOSED}},
        "closed: connection refused",
        "port 50800 is closed, although this machine listens: its firewall may "
        "reject connections (table inet f, chain in), or one on the path to it does",
        "allow TCP port 50800 from any address in the firewall of this machine, "
        "which may block it (table inet f, chain in), and in that of every router "
        "in front of it");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {LET_IN}, {CLOSED}},
                "closed: connection refused",
                "port 50800 is closed, although this machine listens: a firewall on the "
                "path to it rejects connections",
                "allow TCP port 50800 from any address in the firewall of every router in "
                "front of 203.0.113.7 and, on a rented server, in that of the hosting "
                "provider; the firewall of this machine already lets it in");
    check_words(&(struct setup){NATTED, 1, {50800}, {MAY_BE_DROPPED}, {CLOSED}},
                "closed: connection refused",
                "port 50800 is closed, although this machine listens: the port forward "
                "leads to another machine, or a firewall rejects connections",
                "in the router, forward TCP port 50800 to 192.168.1.5 (same port number); "
                "allow it in the firewall of this machine as well, which may block it "
                "(table inet f, chain in)");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {DROPPED}, {FILTERED}},
                "blocked by the firewall of this machine",
                "the firewall of this machine blocks port 50800 (table inet f, chain in)",
                "allow TCP port 50800 from any address in the firewall of this machine");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {DROPPED}, {FILTERED}},
        "blocked by the firewall of this machine",
        "the firewall of this machine blocks port 50800 (table inet f, chain in)",
        "allow TCP port 50800 from any address in the firewall of this machine, and "
        "run port-verifier again: only then can it tell whether connections get past "
        "the router");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {MAY_BE_DROPPED}, {FILTERED}},
                "filtered: no incoming connections",
                "no connections arrive here: a firewall on this machine or on the path to "
                "it blocks them",
                "allow TCP port 50800 from any address in the firewall of this machine, "
                "which may block it (table inet f, chain in), and in that of every router "
                "in front of it");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {LET_IN}, {FILTERED}},
                "filtered: no incoming connections",
                "no connections arrive here: a firewall on the path to this machine blocks "
                "them",
                "allow TCP port 50800 from any address in the firewall of every router in "
                "front of 203.0.113.7 and, on a rented server, in that of the hosting "
                "provider; the firewall of this machine already lets it in");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {LET_IN}, {FILTERED}},
        "filtered: no incoming connections",
        "no connections arrive here: a missing port forward, a firewall, a second router, "
        "or carrier-grade NAT (the checker sees 203.0.113.7 instead of 192.168.1.5)",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port "
        "number); the firewall of this machine already lets it in; " SAID_SECOND_OF("it"));
    check_words(&(struct setup){PUBLIC, 1, {50800}, {LET_IN}, {SILENT}},
                "open: something else answers",
                "something else answers on port 50800: another machine, or a proxy that "
                "accepts every connection",
                "look for a SYN proxy or DDoS protection in front of 203.0.113.7 that "
                "answers in its place");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {LET_IN}, {RESET}},
                "open: something else answers",
                "something else answers on port 50800 and closes connections at once: "
                "another machine, or a proxy in front of a program that does not run",
                "look for a SYN proxy or DDoS protection in front of 203.0.113.7 that "
                "answers in its place");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {IN_USE}, {RESET}},
                "good: listener not verified (in use by nginx)",
                "port 50800 is reachable, but nginx closes connections at once",
                "make sure that the program behind nginx runs: a proxy in front of a dead "
                "container accepts and closes connections like this");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {IN_USE_HANGING}, {FILTERED}},
                "filtered: connections are not accepted (in use by another program)",
                "no answer from port 50800: another program listens there and does not "
                "accept connections, so that its queue is full",
                "restart that program: it hangs or is overloaded; if port 50800 is still "
                "silent then, allow TCP port 50800 from any address in the firewall of "
                "203.0.113.7 and of every router in front of it");
    check_words(
        &(struct setup){PUBLIC, 1, {50800}, {IN_USE_LET_IN}, {CLOSED}},
        "closed: connection refused (in use by nginx)",
        "port 50800 is closed, although nginx listens and the firewall of this "
        "machine lets it in: nginx listens on another interface only, or a firewall "
        "on the path rejects connections",
        "make nginx listen on all interfaces; if it does, allow TCP port 50800 from "
        "any address in the firewall of every router in front of 203.0.113.7");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {IN_USE_INSIDE}, {CLOSED}},
                "closed: connection refused (in use by nginx)",
                "port 50800 is closed: nginx listens on 172.17.0.1 only, and connections "
                "from outside go to 203.0.113.7",
                "make nginx listen on 203.0.113.7 or on all addresses, or stop it");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {BOUND_BY_OTHER}, {CLOSED}},
                "closed: nothing listens (in use by another program)",
                "port 50800 is closed: another program has bound it on this machine, but "
                "does not listen",
                "start the program that should listen on port 50800, or stop the one that "
                "has bound it and run port-verifier again");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {HIDDEN}, {CLOSED}},
                "closed: nothing listens (in use by another program)",
                "port 50800 is closed: another program is using it on this machine; how "
                "is unknown, because the system hides its sockets",
                "stop that program and run port-verifier again, or run it where "
                "/proc/self/net can be read");
    check_words(
        &(struct setup){PUBLIC,
                        1,
                        {50800},
                        {{.binding = BINDING_NO_PERMISSION,
                          .errnum = EACCES,
                          .privileged_below = 1024}},
                        {CLOSED}},
        "closed: nothing listens (no permission to bind)",
        "port 50800 is closed, and nothing listens on it: the system does not allow "
        "port-verifier to bind it (Permission denied)",
        "look for what forbids it: SELinux or AppArmor (see the log of the kernel), "
        "SocketBindDeny= of the systemd unit, or a Landlock sandbox");
}

static void who_sent_an_icmp_error_is_told(void **state)
{
    (void)state;
    check_words(&(struct setup){PUBLIC, 1, {50800}, {BOUND}, {REJECTED("", true)}},
                "unreachable: rejected by this machine",
                "the firewall of this machine rejects connections to port 50800 (No route "
                "to host)",
                "allow TCP port 50800 from any address in the firewall of this machine; "
                "firewalld rejects like this by default");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {REJECTED("", true)}},
        "unreachable: No route to host",
        "203.0.113.7 itself rejects connections to port 50800 (No route to host): a "
        "firewall of the router or of this machine behind it, or a port forward to "
        "a machine that does not answer the router",
        "allow TCP port 50800 from any address in the firewall of this machine and "
        "of the router (firewalld rejects like this by default), and check that the "
        "router forwards it to this machine; " SAID_SECOND_OF("it"));
    check_words(&(struct setup){PUBLIC, 1, {50800}, {BOUND}, {REJECTED("host", false)}},
                "unreachable: No route to host",
                "the network reports that port 50800 is unreachable: No route to host",
                "look for a router or firewall on the path that rejects connections, and "
                "check that 203.0.113.7 is still your address");
}

#define LOOK_FOR_A_FILTER(ports, from)                                                     \
    "look for a country filter or an address blocklist in the router, in the firewall of " \
    "203.0.113.7 and at the internet provider, and allow " ports " from any address; if "  \
    "there is no such filter, the route from " from " is broken: try again later, and "    \
    "report it to the internet provider"

static void places_that_disagree_are_named(void **state)
{
    (void)state;
    check_words(
        &(struct setup){PUBLIC, .count = 1, .ports = {7466}, .local = {ACCEPTED},
                        .remotes = {MATCH},
                        .places = {"eu-1 match, us-1 filtered, ap-1 match"}},
        "good, reached by 2 of 3: not from us-1",
        "port 7466 is reachable from eu-1 and ap-1, but not from us-1: a geographic "
        "filter or a routing problem",
        LOOK_FOR_A_FILTER("port 7466", "us-1"));
    check_words(
        &(struct setup){PUBLIC, .count = 2, .ports = {50800, 50801},
                        .local = {BOUND, BOUND}, .remotes = {FILTERED, FILTERED},
                        .places = {"eu-1 open, us-1 filtered, ap-1 closed, sa-1 missing",
                                   "eu-1 open, us-1 filtered, ap-1 closed, sa-1 missing"}},
        "open: to some places only, reached by 1 of 4: not from us-1 and ap-1; no verdict "
        "from sa-1",
        "ports 50800-50801 are reachable from eu-1, but not from us-1 and ap-1: a "
        "geographic filter or a routing problem",
        LOOK_FOR_A_FILTER("ports 50800-50801", "us-1 and ap-1"));
    check_words(
        &(struct setup){PUBLIC, .count = 1, .ports = {50800}, .local = {IN_USE},
                        .remotes = {OPEN}, .places = {"a open, b closed, c closed"}},
        "good (in use by nginx), reached by 1 of 3: not from b and c",
        "port 50800 is reachable from a, but not from b and c: a geographic filter or a "
        "routing problem",
        "if your own program answers there, add port 50800 to --in-use; "
        "then " LOOK_FOR_A_FILTER("port 50800", "b and c"));
}

static void missing_places_blame_nothing(void **state)
{
    (void)state;
    check_words(&(struct setup){PUBLIC, .count = 1, .ports = {7466}, .local = {ACCEPTED},
                                .remotes = {MATCH},
                                .places = {"eu-1 match, us-1 missing, ap-1 match"}},
                "good, reached by 2 of 3: no verdict from us-1", "", "");
    check_words(&(struct setup){PUBLIC, .count = 1, .ports = {7466}, .local = {ACCEPTED},
                                .remotes = {MATCH}, .places = {"eu-1 match, us-1 match"}},
                "good", "", "");
    check_words(
        &(struct setup){PUBLIC, .count = 1, .ports = {7466}, .local = {BOUND},
                        .remotes = {UNDECIDED},
                        .places = {"eu-1 open, us-1 missing, ap-1 missing"}},
        "no verdict: places of the checker are missing, reached by 1 of 3: no verdict from "
        "us-1 and ap-1",
        "could not judge port 7466: the checker has no verdict from its places us-1 and "
        "ap-1, and the other places are too few",
        "try again later, or use another checker; no change of a forward or a firewall "
        "follows from this");
    check_words(&(struct setup){PUBLIC, .count = 1, .ports = {7466}, .local = {BOUND},
                                .remotes = {CLOSED},
                                .places = {"eu-1 closed, us-1 missing, ap-1 filtered"}},
                "closed: connection refused",
                "port 7466 is closed, although this machine listens: a firewall rejects "
                "connections",
                "allow TCP port 7466 from any address in the firewall of 203.0.113.7 and "
                "of every router in front of it");
}

#define TUNNEL_REMEDY                                                                      \
    "this machine reaches the internet through a VPN or another tunnel (tun0), and a "     \
    "port "                                                                                \
    "forward in your own router does not lead into it: route the traffic of "              \
    "port-verifier and of the provider around the tunnel (see --source), or ask its "      \
    "operator to forward "                                                                 \
    "TCP port 50800"

/* Whatever is wrong, no router is told to forward to these addresses. */
static void no_router_can_forward_there(void **state)
{
    (void)state;
    static const struct {
        const char *ip, *begins;
        enum link_kind kind;
    } places[] = {
        {"10.8.0.2", TUNNEL_REMEDY, LINK_TUNNEL},
        {"100.101.102.103", TUNNEL_REMEDY, LINK_TUNNEL},
        {"10.64.3.2", "if ppp0 is a VPN, route the traffic of port-verifier ", LINK_DIALED},
        {"172.17.0.2",
         "the address of this machine looks like that of a container or a virtual "
         "machine: ",
         LINK_PLAIN},
        {"192.168.122.9",
         "the address of this machine looks like that of a container or a virtual "
         "machine: ",
         LINK_PLAIN},
        {"192.0.0.2", "a port forward does not help behind the carrier NAT of DS-Lite or ",
         LINK_PLAIN},
        {"10.120.3.2",
         "no router of yours can forward ports into a mobile network (wwan0): ",
         LINK_CELLULAR},
    };
    static const struct remote_verdict verdicts[] = {
        FILTERED, CLOSED, SILENT, MISMATCH, UNREACHABLE, REJECTED("", true), OTHER(50801)};
    for (size_t i = 0; i < COUNT(places); i++)
        for (size_t j = 0; j < COUNT(verdicts); j++)
            for (size_t others = 0; others < 2; others++) {
                const struct setup setup = {
                    .local_ip = places[i].ip,
                    .public_ip = "203.0.113.7",
                    .kind = places[i].kind,
                    .count = 1 + others,
                    .ports = {50800, 50801},
                    .local = {BOUND, ACCEPTED},
                    .remotes = {verdicts[j], MATCH},
                };
                struct report *report = report_of(&setup, NULL, 0, NULL, 0);
                const struct family_report *family = report->families[FAMILY_4];
                AUTO_TEXT text = text_up_to(4096);
                advice_put(report, family, &family->groups[0], ADVICE_REMEDY, &text);
                if (strncmp(text.data, places[i].begins, strlen(places[i].begins)) != 0 ||
                    strstr(text.data, places[i].ip))
                    fail_msg("%s, verdict %zu: %s", places[i].ip, j, text.data);
                report_free(report);
            }
}

/* Of carrier-grade NAT, also where it refuses, or where another customer answers. */
static void carriers_are_known_by_our_address(void **state)
{
    (void)state;
    static const struct remote_verdict verdicts[] = {FILTERED, CLOSED, SILENT, MISMATCH,
                                                     UNREACHABLE};
    static const char remedy[] = "a port forward does not help behind carrier-grade NAT: ";
    static const struct local_port others_here[] = {BOUND, ACCEPTED};
    static const struct remote_verdict others[] = {CLOSED, MATCH};
    for (size_t i = 0; i < COUNT(verdicts); i++)
        for (size_t is_reached = 0; is_reached < 2; is_reached++) {
            const struct setup setup = {
                .local_ip = "100.64.0.5",
                .public_ip = "203.0.113.7",
                .kind = LINK_DIALED,
                .count = 2,
                .ports = {50800, 50801},
                .local = {BOUND, others_here[is_reached]},
                .remotes = {verdicts[i], others[is_reached]},
            };
            struct report *report = report_of(&setup, NULL, 0, NULL, 0);
            const struct family_report *family = report->families[FAMILY_4];
            AUTO_TEXT text = text_up_to(4096);
            advice_put(report, family, &family->groups[0], ADVICE_REMEDY, &text);
            bool is_told = strncmp(text.data, remedy, sizeof remedy - 1) == 0;
            if (is_told == (is_reached == 1))
                fail_msg("verdict %zu, %zu: %s", i, is_reached, text.data);
            report_free(report);
        }
}

/* The reason speaks of the same thing as the remedy. */
#define REJECTED_BY                                                                        \
    "203.0.113.7 itself rejects connections to port 50800 (No route to host): the "        \
    "address "                                                                             \
    "of "

static void who_refuses_in_our_place_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        enum link_kind kind;
        const char *refused, *rejected;
    } rows[] = {
        {"10.8.0.2", LINK_TUNNEL,
         "port 50800 is closed: this machine reaches the internet through a VPN or another "
         "tunnel (tun0), and its other end, 203.0.113.7, refuses connections",
         REJECTED_BY "the other end of the VPN or tunnel tun0 of this machine"},
        {"10.64.3.2", LINK_DIALED,
         "port 50800 is closed: ppp0 is a VPN, or the line of an internet provider that "
         "uses carrier-grade NAT, and its other end, 203.0.113.7, refuses connections",
         REJECTED_BY "the other end of ppp0, a VPN or the line of an internet provider"},
        {"10.120.3.2", LINK_CELLULAR,
         "port 50800 is closed by the mobile network of wwan0, which translates addresses "
         "(the checker sees 203.0.113.7 instead of 10.120.3.2)",
         REJECTED_BY "the mobile network of wwan0"},
        {"192.0.0.2", LINK_PLAIN,
         "port 50800 is closed by carrier-grade NAT of the internet provider (DS-Lite or "
         "464XLAT; the checker sees 203.0.113.7 instead of 192.0.0.2)",
         REJECTED_BY "the carrier-grade NAT of the internet provider (DS-Lite or 464XLAT)"},
        {"100.64.0.5", LINK_PLAIN,
         "port 50800 is closed by carrier-grade NAT of the internet provider (the checker "
         "sees 203.0.113.7 instead of 100.64.0.5)",
         REJECTED_BY "the carrier-grade NAT of the internet provider"},
    };
    static const struct remote_verdict verdicts[] = {CLOSED, REJECTED("", true)};
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t j = 0; j < COUNT(verdicts); j++) {
            const struct setup setup = {
                .local_ip = rows[i].ip,
                .public_ip = "203.0.113.7",
                .kind = rows[i].kind,
                .count = 1,
                .ports = {50800},
                .local = {BOUND},
                .remotes = {verdicts[j]},
            };
            struct report *report = report_of(&setup, NULL, 0, NULL, 0);
            const struct family_report *family = report->families[FAMILY_4];
            AUTO_TEXT text = text_up_to(4096);
            advice_put(report, family, &family->groups[0], ADVICE_WHY, &text);
            assert_string_equal(text.data, j == 0 ? rows[i].refused : rows[i].rejected);
            report_free(report);
        }
}

static void translated_ipv6_is_not_behind_a_carrier(void **state)
{
    (void)state;
    const struct setup setup = {
        .local_ip = "fd00::2",
        .public_ip = "2001:db8::7",
        .count = 1,
        .ports = {50800},
        .local = {BOUND},
        .remotes = {FILTERED},
    };
    check_words(&setup, "filtered: no incoming connections",
                "no connections arrive here: a missing port forward or a firewall (the "
                "checker sees 2001:db8::7 instead of fd00::2: something on the path "
                "translates IPv6 addresses)",
                "in the router, forward TCP port 50800 to fd00::2 (same port number), and "
                "allow it in the firewall of this machine; or give this machine a global "
                "IPv6 address of its own, which needs no port forward");
}

/* --- what the router itself told ------------------------------------------------------ */

#define SPEAKS(address) .has_router_spoken = true, .outer = (address)
#define NO_ADDRESS      .has_router_spoken = true, .router_result = 3

/* Whatever is wrong, as long as no port is reached. */
static void a_router_that_cannot_forward_is_not_told_to(void **state)
{
    (void)state;
    static const struct {
        const char *ip; /* of this machine */
        const char *outer, *begins;
    } rows[] = {
        {"192.168.1.5", "100.64.0.2",
         "a port forward cannot help: the router 192.168.1.1 is behind carrier-grade NAT "
         "(100.64.0.2); ask "},
        {"172.17.0.2", "100.64.0.2", /* looks like a container, and has a router */
         "a port forward cannot help: the router 192.168.1.1 is behind carrier-grade NAT "
         "(100.64.0.2); ask "},
        {"192.168.1.5", "10.0.0.2",
         "the router 192.168.1.1 is behind a second router: put that one into bridge mode, "
         "or in it, forward TCP port 50800 to 10.0.0.2, and in 192.168.1.1, forward it to "
         "192.168.1.5 (same port number); "},
        {"192.168.1.5", "45.12.7.7",
         "if the router has a VPN or a second uplink, make connections of this machine "
         "leave through the one that has 45.12.7.7, or "},
        {"192.168.1.5", NULL,
         "in the router, forward TCP port 50800 to 192.168.1.5 (same port number), and "
         "look up its WAN address: a private address "},
    };
    static const struct remote_verdict verdicts[] = {
        FILTERED, CLOSED, SILENT, MISMATCH, UNREACHABLE, REJECTED("", true)};
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t j = 0; j < COUNT(verdicts); j++)
            for (size_t others = 0; others < 2; others++) {
                const struct setup setup = {
                    .local_ip = rows[i].ip,
                    .public_ip = "203.0.113.7",
                    .has_router_spoken = true,
                    .router_result = rows[i].outer ? 0 : 3,
                    .outer = rows[i].outer,
                    .count = 1 + others,
                    .ports = {50800, 50801},
                    .local = {BOUND, BOUND},
                    .remotes = {verdicts[j], CLOSED},
                };
                struct report *report = report_of(&setup, NULL, 0, NULL, 0);
                const struct family_report *family = report->families[FAMILY_4];
                AUTO_TEXT text = text_up_to(4096);
                AUTO_TEXT expected = text_up_to(4096);
                text_append_str(&expected, rows[i].begins);
                advice_put(report, family, &family->groups[0], ADVICE_REMEDY, &text);
                bool is_one = family->groups[0].count == 1;
                if ((is_one && strncmp(text.data, rows[i].begins, expected.len) != 0) ||
                    strstr(text.data, "--map") || strstr(text.data, "if the WAN address"))
                    fail_msg("%s, verdict %zu: %s", setup.outer, j, text.data);
                report_free(report);
            }
}

static void what_the_router_told_replaces_what_was_guessed(void **state)
{
    (void)state;
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {FILTERED}, SPEAKS("203.0.113.7")},
        "filtered: no incoming connections",
        "no connections arrive here: a missing port forward or a firewall (the outer "
        "address of the router 192.168.1.1 is 203.0.113.7, which the checker sees)",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port number), or run "
        "port-verifier again with --map, and allow it in the firewall of this machine");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {LET_IN}, {FILTERED}, SPEAKS("203.0.113.7")},
        "filtered: no incoming connections",
        "no connections arrive here: a missing port forward or a firewall (the outer "
        "address of the router 192.168.1.1 is 203.0.113.7, which the checker sees)",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port number), or run "
        "port-verifier again with --map; the firewall of this machine already lets it in");
    check_words(
        &(struct setup){
            NATTED, 1, {50800}, {MAY_BE_DROPPED}, {FILTERED}, SPEAKS("203.0.113.7")},
        "filtered: no incoming connections",
        "no connections arrive here: a missing port forward or a firewall (the "
        "outer address of the router 192.168.1.1 is 203.0.113.7, which the checker "
        "sees)",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port number), "
        "or run port-verifier again with --map; allow it in the firewall of this "
        "machine as well, which may block it (table inet f, chain in)");
    /* the router is next to it, so it is not in a container */
    check_words(&(struct setup){.local_ip = "172.17.0.2",
                                .public_ip = "203.0.113.7",
                                .count = 1,
                                .ports = {50800},
                                .local = {BOUND},
                                .remotes = {FILTERED},
                                SPEAKS("203.0.113.7")},
                "filtered: no incoming connections",
                "no connections arrive here: a missing port forward or a firewall (the "
                "outer address of the router 192.168.1.1 is 203.0.113.7, which the checker "
                "sees)",
                "in the router, forward TCP port 50800 to 172.17.0.2 (same port number), "
                "or run port-verifier again with --map, and allow it in the firewall of "
                "this machine");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {DROPPED}, {FILTERED}, SPEAKS("100.64.0.2")},
        "blocked by the firewall of this machine",
        "the firewall of this machine blocks port 50800 (table inet f, chain in), "
        "and the internet provider uses carrier-grade NAT (the outer address of the "
        "router 192.168.1.1 is 100.64.0.2, and the checker sees 203.0.113.7)",
        "allowing TCP port 50800 in the firewall of this machine is not enough "
        "behind carrier-grade NAT: ask the internet provider for a public IPv4 "
        "address, or use IPv6");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {CLOSED}, SPEAKS("203.0.113.7")},
        "closed: connection refused",
        "port 50800 is closed, although this machine listens: the port forward "
        "leads to another machine, or a firewall rejects connections",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port number), "
        "or run port-verifier again with --map, and allow it in every firewall on "
        "the path");
    check_words(&(struct setup){NATTED, 1, {50800}, {BOUND}, {FILTERED}, NO_ADDRESS},
                "filtered: no incoming connections",
                "no connections arrive here: the router 192.168.1.1 says that it has no "
                "outer address, as behind a second router or carrier-grade NAT, or while "
                "another uplink is in use (the checker sees 203.0.113.7)",
                "in the router, forward TCP port 50800 to 192.168.1.5 (same port number), "
                "and look up its WAN address: a private address (10.*, 172.16.* to "
                "172.31.*, 192.168.*) is that of a second router in front of it, which has "
                "to be put into bridge mode or has to forward it to the first; an address "
                "in 100.64.0.0/10 shows carrier-grade NAT, as does a second router that is "
                "not yours: ask the internet provider for a public address");
}

/* It is proof that carrier-grade NAT or another uplink is not in the way. */
static void a_port_that_is_reached_counts_more_than_the_router(void **state)
{
    (void)state;
    static const struct {
        struct remote_verdict other;
        const char *outer;
        bool is_told_to_forward;
    } rows[] = {
        {MATCH, "100.64.0.2", true},        {CLOSED, "100.64.0.2", false},
        {OTHER(50805), "100.64.0.2", true}, {MATCH, "45.12.7.7", true},
        {CLOSED, "45.12.7.7", false},       {MATCH, "10.0.0.2", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct setup setup = {NATTED,
                                    2,
                                    {50800, 50801},
                                    {BOUND, BOUND},
                                    {FILTERED, rows[i].other},
                                    SPEAKS(rows[i].outer)};
        struct report *report = report_of(&setup, NULL, 0, NULL, 0);
        const struct family_report *family = report->families[FAMILY_4];
        AUTO_TEXT text = text_up_to(4096);
        advice_put(report, family, &family->groups[0], ADVICE_REMEDY, &text);
        bool is_told = strncmp(text.data, "in the router, forward", 22) == 0;
        if (is_told != rows[i].is_told_to_forward || strstr(text.data, "--map"))
            fail_msg("row %zu: %s", i, text.data);
        report_free(report);
    }
}

/* --- the tables, row by row ----------------------------------------------------------- */

#define ROWS_MAX 48

static void every_row_of_the_table_can_be_said(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name;
        struct advice_row rows[ROWS_MAX];
    } causes[] = {
#define CAUSE(NAME, name, ...) {#NAME, {__VA_ARGS__}},
#include "verifier/causes.def"
#undef CAUSE
    };
    /* clang-format on */
    const struct setup setup = {NATTED, 1, {7466}, {ACCEPTED}, {OTHER(9)}};
    struct report *report = report_of(&setup, NULL, 0, NULL, 0);
    const struct family_report *family = report->families[FAMILY_4];
    const struct scene scene = scene_of(report, family, &family->groups[0]);

    assert_int_equal(COUNT(causes), CAUSE_COUNT);
    for (size_t i = 0; i < COUNT(causes); i++) {
        size_t count = 0;
        bool is_last = false;
        for (const struct advice_row *row = causes[i].rows; !is_last; row++) {
            const char *all[] = {row->label, row->why, row->remedy, row->summary};
            is_last = row->when == 0; /* and such a row leaves nothing out */
            for (size_t j = 0; j < COUNT(all); j++) {
                AUTO_TEXT text = text_up_to(4096);
                if (!all[j] && is_last)
                    fail_msg("%s: the last row is not complete", causes[i].name);
                if (all[j] && !template_expand(all[j], scene_words, &scene, &text))
                    fail_msg("%s: %s", causes[i].name, all[j]);
            }
            count++;
        }
        if (count < ROWS_MAX && causes[i].rows[count].label)
            fail_msg("%s: a row follows the one without conditions", causes[i].name);
    }
    report_free(report);
}

static void every_failure_has_a_message_and_a_remedy(void **state)
{
    (void)state;
    const struct failure_facts facts = {FAMILY_6, 503, 7, "too busy"};
    for (enum failure failure = 0; failure < FAILURE_COUNT; failure++) {
        char message[FAILURE_MESSAGE_SIZE];
        failure_message(failure, &facts, message);
        assert_int_equal(message[0] == '\0', failure == FAILURE_NONE);
        assert_int_equal(failure_remedy(failure)[0] == '\0', failure == FAILURE_NONE);
        assert_int_equal(!failure_text(failure), failure == FAILURE_NONE);
    }
}

static void a_message_has_the_words_of_its_facts(void **state)
{
    (void)state;
    static const struct {
        enum failure failure;
        struct failure_facts facts;
        const char *expected;
    } rows[] = {
        {FAILURE_NO_NAME,
         {.family = FAMILY_6},
         "its host name does not exist, or has no IPv6 address"},
        {FAILURE_SERVER_ERROR, {.status = 500, .words = ""}, "status 500"},
        {FAILURE_SERVER_ERROR,
         {.status = 503, .retry_after = 7, .words = "too busy"},
         "status 503, retry after 7 s: too busy"},
        {FAILURE_MOVED,
         {.status = 301, .words = "https://a.example"},
         "status 301, a redirect: use https://a.example instead"},
        {FAILURE_TOO_LARGE, {0}, "the reply is larger than 12582912 bytes"},
        {FAILURE_INTERNAL, {.words = "{status}\033"}, "{status}?"}, /* not a placeholder */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char message[FAILURE_MESSAGE_SIZE];
        failure_message(rows[i].failure, &rows[i].facts, message);
        assert_string_equal(message, rows[i].expected);
    }
}

/* --- verdicts that this version does not know ------------------------------------------
 */

#define NEW_WORD {.is_unknown = true}

static void a_port_with_an_unknown_state_is_not_checked(void **state)
{
    (void)state;
    const struct setup setup = {NATTED,
                                3,
                                {7466, 50800, 50801},
                                {ACCEPTED, BOUND, BOUND},
                                {MATCH, NEW_WORD, CLOSED}};
    const uint16_t required[] = {7466};
    struct report *report = report_of(&setup, required, 1, NULL, 0);
    const struct family_report *family = report->families[FAMILY_4];
    assert_true(family->is_known);
    assert_int_equal(family->findings[1].cause, CAUSE_UNKNOWN);
    assert_int_equal(family->findings[1].asked, 0);
    assert_false(family->findings[1].is_good);
    assert_false(family->is_advertised[1]);
    assert_null(report_witness(family, 1));
    assert_false(report_reached(family, 0, 1));

    static const char *const expected[] = {
        [ADVICE_LABEL] = "not checked",
        [ADVICE_WHY] = ("could not check port 50800: this version of port-verifier does "
                        "not know what the checker reports"),
        [ADVICE_REMEDY] = "use a newer port-verifier, or another checker",
    };
    for (enum advice_part part = ADVICE_LABEL; part <= ADVICE_REMEDY; part++) {
        AUTO_TEXT text = text_up_to(4096);
        advice_put(report, family, &family->groups[1], part, &text);
        assert_string_equal(text.data, expected[part]);
    }
    report_free(report);
}

/* --- groups --------------------------------------------------------------------------- */

/* Groups in their order: "1,3|2". */
static void check_groups(const char *what, const struct setup *setup, const char *expected)
{
    struct report *report = report_of(setup, NULL, 0, NULL, 0);
    const struct family_report *family = report->families[FAMILY_4];
    struct text text;
    text_init(&text, 4096);
    size_t count = 0;
    for (size_t i = 0; i < family->group_count; i++) {
        text_append_str(&text, i > 0 ? "|" : "");
        report_format_group(family, &family->groups[i], &text);
        count += family->groups[i].count;
        assert_int_equal(family->group_of[family->groups[i].first], i);
    }
    if (strcmp(text.data, expected) != 0)
        print_error("%s\n", what);
    assert_string_equal(text.data, expected);
    assert_int_equal(count, family->port_count);
    text_done(&text);
    report_free(report);
}

static void like_ports_are_one_group(void **state)
{
    (void)state;
    static const struct {
        const char *what, *expected;
        struct setup setup;
    } rows[] = {
        {"all alike, apart",
         "1,3,5-6",
         {NATTED,
          4,
          {1, 3, 5, 6},
          {BOUND, BOUND, BOUND, BOUND},
          {FILTERED, FILTERED, FILTERED, FILTERED}}},
        {"by cause",
         "1,3|2|4",
         {NATTED,
          4,
          {1, 2, 3, 4},
          {ACCEPTED, BOUND, ACCEPTED, BOUND},
          {MATCH, CLOSED, MATCH, FILTERED}}},
        {"by binding",
         "1|2-3",
         {NATTED, 3, {1, 2, 3}, {FORBIDDEN, IN_USE, IN_USE}, {OPEN, OPEN, OPEN}}},
        {"by owner", "1|2", {NATTED, 2, {1, 2}, {IN_USE, IN_USE_LOCALLY}, {OPEN, OPEN}}},
        {"by what closes connections",
         "1|2",
         {NATTED, 2, {1, 2}, {IN_USE, IN_USE}, {RESET, SILENT}}},
        {"by words",
         "1,3|2",
         {NATTED,
          3,
          {1, 2, 3},
          {BOUND, BOUND, BOUND},
          {UNREACHABLE, {.state = PORT_STATE_UNREACHABLE, .words = "?"}, UNREACHABLE}}},
        {"led equally far",
         "1-3",
         {NATTED, 3, {1, 2, 3}, {BOUND, BOUND, BOUND}, {OTHER(11), OTHER(12), OTHER(13)}}},
        {"led to one place",
         "1-3",
         {NATTED, 3, {1, 2, 3}, {BOUND, BOUND, BOUND}, {OTHER(9), OTHER(9), OTHER(9)}}},
        {"led to neither",
         "1|2|3",
         {NATTED, 3, {1, 2, 3}, {BOUND, BOUND, BOUND}, {OTHER(20), OTHER(30), OTHER(40)}}},
        {"the larger group wins: one place",
         "1,3-4|2",
         {NATTED,
          4,
          {1, 2, 3, 4},
          {BOUND, BOUND, BOUND, BOUND},
          {OTHER(9), OTHER(10), OTHER(9), OTHER(9)}}},
        {"the larger group wins: equally far",
         "1-3|4",
         {NATTED,
          4,
          {1, 2, 3, 4},
          {BOUND, BOUND, BOUND, BOUND},
          {OTHER(11), OTHER(12), OTHER(13), OTHER(11)}}},
        {"places agree, or nothing reaches the port",
         "1-2|3-4",
         {NATTED, .count = 4, .ports = {1, 2, 3, 4},
          .local = {ACCEPTED, ACCEPTED, BOUND, BOUND},
          .remotes = {MATCH, MATCH, CLOSED, CLOSED},
          .places = {"a match, b match", NULL, "a closed, b missing",
                     "a filtered, b closed"}}},
        {"by the places that reach them",
         "1,3|2|4",
         {NATTED, .count = 4, .ports = {1, 2, 3, 4},
          .local = {ACCEPTED, ACCEPTED, ACCEPTED, ACCEPTED},
          .remotes = {MATCH, MATCH, MATCH, MATCH},
          .places = {"a match, b closed", "a closed, b match", "b filtered, a match",
                     "a match, b missing"}}},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_groups(rows[i].what, &rows[i].setup, rows[i].expected);
}

static void what_no_checker_answered_is_one_group(void **state)
{
    (void)state;
    check_groups("unknown",
                 &(struct setup){NATTED,
                                 4,
                                 {1, 2, 3, 4},
                                 {BOUND, IN_USE, FORBIDDEN, SYN_SEEN},
                                 .is_unanswered = true},
                 "1-4");
}

static void a_range_led_to_one_port_is_told_at_once(void **state)
{
    (void)state;
    check_words(
        &(struct setup){NATTED,
                        3,
                        {50800, 50801, 50802},
                        {BOUND, BOUND, BOUND},
                        {OTHER(7466), OTHER(7466), OTHER(7466)}},
        "open: leads to port 7466",
        "the router forwards ports 50800-50802 to port 7466 of this machine",
        "in the router, forward TCP ports 50800-50802 to 192.168.1.5 (same port numbers)");
}

static void check_summary(const struct setup *setup, const char *expected)
{
    struct report *report = report_of(setup, NULL, 0, NULL, 0);
    struct text text;
    text_init(&text, 4096);
    advice_put_summary(report, report->families[FAMILY_4], &text);
    assert_string_equal(text.data, expected);
    text_done(&text);
    report_free(report);
}

static void one_line_sums_all_ports_up(void **state)
{
    (void)state;
    check_summary(&(struct setup){NATTED, 1, {1}, {ACCEPTED}, {MATCH}},
                  "1 of 1 port reachable");
    check_summary(&(struct setup){NATTED, 2, {1, 2}, {ACCEPTED, BOUND}, {MATCH, OPEN}},
                  "2 of 2 ports reachable");
    check_summary(&(struct setup){NATTED,
                                  4,
                                  {1, 2, 3, 4},
                                  {ACCEPTED, BOUND, BOUND, BOUND},
                                  {MATCH, FILTERED, CLOSED, FILTERED}},
                  "1 of 4 ports reachable; 1 is refused, 2 are not forwarded");
    check_summary(
        &(struct setup){
            NATTED, 3, {1, 2, 9}, {BOUND, BOUND, ACCEPTED}, {OTHER(9), OTHER(20), MATCH}},
        "1 of 3 ports reachable; 2 are forwarded to another port");
}

/* --- what follows from it ------------------------------------------------------------- */

static void what_may_be_advertised(void **state)
{
    (void)state;
    const struct setup setup = {NATTED,
                                4,
                                {7466, 50800, 50801, 50802},
                                {IN_USE, IN_USE, IN_USE, ACCEPTED},
                                {SILENT, SILENT, SILENT, MATCH}};
    const uint16_t required[] = {7466};
    const uint16_t in_use[] = {50801};
    struct report *report = report_of(&setup, required, 1, in_use, 1);
    const struct family_report *family = report->families[FAMILY_4];
    static const bool expected[] = {true, false, true, true};
    for (size_t i = 0; i < 4; i++) {
        assert_true(family->findings[i].is_good);
        assert_int_equal(family->is_advertised[i], expected[i]);
    }
    struct text text;
    text_init(&text, 100);
    report_format_advertised(family, &text);
    assert_string_equal(text.data, "7466,50801-50802");
    text_done(&text);
    assert_int_equal(report_status(report), REPORT_OK);
    report_free(report);
}

static void a_rented_port_is_treated_as_in_use(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct local_port local;
        struct remote_verdict remote;
        bool is_named; /* with --in-use */
        bool is_good, is_advertised;
    } rows[] = {
        {"ours", ACCEPTED, MATCH, false, true, true},
        {"ours, and named", ACCEPTED, MATCH, true, true, true},
        {"led away", LED, SILENT, false, true, false},
        {"led away, and named", LED, SILENT, true, true, true},
        {"led away, plain checker", LED, OPEN, false, true, false},
        {"led away, plain checker, and named", LED, OPEN, true, true, true},
        {"rules unknown, a stranger", BOUND, MISMATCH, false, false, false},
        {"rules unknown, a stranger, and named", BOUND, MISMATCH, true, true, true},
        {"rules unknown, silent, and named", BOUND, SILENT, true, true, true},
        {"rules unknown, reset, and named", BOUND, RESET, true, true, true},
        {"named, and proved to lead elsewhere", BOUND, OTHER(9), true, false, false},
        {"named, and closed", BOUND, CLOSED, true, false, false},
        {"led away, and closed", LED, CLOSED, true, false, false},
    };
    static const uint16_t in_use[] = {50800};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct setup setup = {PUBLIC, 1, {50800}, {rows[i].local}, {rows[i].remote}};
        struct report *report = report_of(&setup, NULL, 0, in_use, rows[i].is_named);
        const struct family_report *family = report->families[FAMILY_4];
        if (family->findings[0].is_good != rows[i].is_good ||
            family->is_advertised[0] != rows[i].is_advertised)
            fail_msg("%s: good %d, advertised %d", rows[i].what,
                     family->findings[0].is_good, family->is_advertised[0]);
        report_free(report);
    }
}

static void renting_out_a_port_does_not_withdraw_it(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct local_port before, after;
        struct remote_verdict was, is;
        const char *public_ip;
        bool is_advertised;
    } rows[] = {
        {"led away", ACCEPTED, LED, MATCH, MISMATCH, "203.0.113.7", true},
        {"in use", ACCEPTED, IN_USE, MATCH, SILENT, "203.0.113.7", true},
        {"in use, and closed", ACCEPTED, IN_USE, MATCH, CLOSED, "203.0.113.7", false},
        {"never ours", IN_USE, IN_USE, SILENT, SILENT, "203.0.113.7", false},
        {"not proved", BOUND, IN_USE, OPEN, SILENT, "203.0.113.7", false},
        {"a stranger", ACCEPTED, BOUND, MATCH, MISMATCH, "203.0.113.7", false},
        {"at another address", ACCEPTED, IN_USE, MATCH, SILENT, "203.0.113.8", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct setup before = {PUBLIC, 1, {50800}, {rows[i].before}, {rows[i].was}};
        const struct setup after = {.local_ip = rows[i].public_ip,
                                    .public_ip = rows[i].public_ip,
                                    .count = 1,
                                    .ports = {50800},
                                    .local = {rows[i].after},
                                    .remotes = {rows[i].is}};
        struct report *reports[3] = {report_of(&before, NULL, 0, NULL, 0),
                                     report_of(&after, NULL, 0, NULL, 0),
                                     report_of(&after, NULL, 0, NULL, 0)};
        for (size_t j = 1; j < 3; j++) { /* and it stays so */
            report_keep(reports[j], reports[j - 1]);
            if (reports[j]->families[FAMILY_4]->is_advertised[0] != rows[i].is_advertised)
                fail_msg("%s: round %zu", rows[i].what, j);
        }
        for (size_t j = 0; j < 3; j++)
            report_free(reports[j]);
    }
}

static void missing_places_do_not_withdraw_a_port(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct remote_verdict was, is;
        const char *public_ip;
        bool is_kept, is_proved;
    } rows[] = {
        {"proved", MATCH, UNDECIDED, "203.0.113.7", true, true},
        {"good without proof", OPEN, UNDECIDED, "203.0.113.7", true, false},
        {"never good", CLOSED, UNDECIDED, "203.0.113.7", false, false},
        {"a word of a newer version",
         MATCH,
         {.is_unknown = true},
         "203.0.113.7",
         false,
         false},
        {"limited by the address", MATCH, LIMITED, "203.0.113.7", false, false},
        {"decided", MATCH, CLOSED, "203.0.113.7", false, false},
        {"at another address", MATCH, UNDECIDED, "203.0.113.8", false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static const uint16_t required[] = {50800};
        const struct setup before = {PUBLIC, .count = 2, .ports = {7466, 50800},
                                     .local = {ACCEPTED, ACCEPTED},
                                     .remotes = {MATCH, rows[i].was}};
        const struct setup after = {.local_ip = rows[i].public_ip,
                                    .public_ip = rows[i].public_ip,
                                    .count = 2,
                                    .ports = {7466, 50800},
                                    .local = {ACCEPTED, ACCEPTED},
                                    .remotes = {MATCH, rows[i].is}};
        struct report *reports[3] = {report_of(&before, required, 1, NULL, 0),
                                     report_of(&after, required, 1, NULL, 0),
                                     report_of(&after, required, 1, NULL, 0)};
        for (size_t j = 1; j < 3; j++) { /* and it stays so */
            const struct family_report *family = reports[j]->families[FAMILY_4];
            report_keep(reports[j], reports[j - 1]);
            if (family->findings[1].is_good != rows[i].is_kept ||
                family->findings[1].is_proved != rows[i].is_proved ||
                family->is_advertised[1] != rows[i].is_kept ||
                report_is_kept(family, 1) != rows[i].is_kept ||
                family->is_ok != rows[i].is_kept)
                fail_msg("%s: round %zu", rows[i].what, j);
        }
        for (size_t j = 0; j < 3; j++)
            report_free(reports[j]);
    }
}

/* With --ip, and a checker that checks any address. */
static void an_address_inside_is_not_asked_about_from_the_internet(void **state)
{
    (void)state;
    static const struct remote_verdict verdicts[] = {FILTERED, CLOSED, UNREACHABLE};
    for (size_t i = 0; i < COUNT(verdicts); i++)
        for (enum vantage vantage = VANTAGE_INTERNET; vantage <= VANTAGE_NETWORK;
             vantage++) {
            const struct setup setup = {.local_ip = "192.168.1.5",
                                        .public_ip = "192.168.1.5",
                                        .count = 1,
                                        .ports = {7466},
                                        .local = {BOUND},
                                        .remotes = {verdicts[i]},
                                        .vantage = vantage};
            struct report *report = report_of(&setup, NULL, 0, NULL, 0);
            const struct family_report *family = report->families[FAMILY_4];
            AUTO_TEXT text = text_up_to(4096);
            advice_put(report, family, &family->groups[0], ADVICE_REMEDY, &text);
            bool is_told = strstr(text.data, "--ip") != NULL;
            assert_int_equal(is_told, vantage == VANTAGE_INTERNET);
            report_free(report);
        }
}

/* What was reached is behind no carrier's translation, and was forwarded. */
static void a_machine_that_was_reached_has_a_way_in(void **state)
{
    (void)state;
    static const struct setup rounds[] = {
        {NATTED, 2, {7466, 50800}, {ACCEPTED, BOUND}, {MATCH, LIMITED}},
        {NATTED, 2, {7466, 50800}, {BOUND, BOUND}, {FILTERED, FILTERED}},
        {NATTED, 2, {7466, 50800}, {BOUND, BOUND}, {FILTERED, FILTERED}},
        {.local_ip = "192.168.1.5",
         .public_ip = "203.0.113.8",
         .count = 2,
         .ports = {7466, 50800},
         .local = {BOUND, BOUND},
         .remotes = {FILTERED, FILTERED}},
    };
    static const char *const reasons[] = {"", "no connections arrive here, although an",
                                          "no connections arrive here, although an",
                                          "no connections arrive here: a missing port"};
    struct report *earlier = NULL;
    for (size_t i = 0; i < COUNT(rounds); i++) {
        struct report *report = report_of(&rounds[i], NULL, 0, NULL, 0);
        const struct family_report *family = report->families[FAMILY_4];
        if (earlier)
            report_keep(report, earlier);
        AUTO_TEXT text = text_up_to(4096);
        advice_put(report, family, &family->groups[0], ADVICE_WHY, &text);
        if (strncmp(text.data, reasons[i], strlen(reasons[i])) != 0)
            fail_msg("round %zu: %s", i, text.data);
        report_free(earlier);
        earlier = report;
    }
    report_free(earlier);
}

static void only_handshakes_of_checkers_count(void **state)
{
    (void)state;
    static const struct {
        const char *from, *gateway;
        enum cause cause;
    } rows[] = {
        {"203.0.113.1", NULL, CAUSE_WAY_BACK},
        {"203.0.113.2", NULL, CAUSE_NO_WAY_IN},
        {"192.168.1.1", "192.168.1.1", CAUSE_WAY_BACK},
        {"192.168.1.3", "192.168.1.1", CAUSE_NO_WAY_IN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct setup setup = {NATTED, 1, {50800}, {BOUND}, {FILTERED}};
        const struct report_policy policy = {.quorum = 1};
        struct report *report = report_of(&setup, NULL, 0, NULL, 0);
        struct family_report *family = report->families[FAMILY_4];
        struct checker_result *result = &family->checkers[0].result;
        result->has_local = true;
        result->peer_address = address_of("203.0.113.1");
        address_set_port(&result->peer_address, 7466);
        family->local[0].syn_count = 1;
        family->local[0].syn_from[0] = address_of(rows[i].from);
        family->has_gateway = rows[i].gateway != NULL;
        if (rows[i].gateway)
            family->gateway = address_of(rows[i].gateway);
        assert_true(family_report_judge(family, &policy, NULL));
        if (family->findings[0].cause != rows[i].cause)
            fail_msg("%s: %s", rows[i].from, cause_text(family->findings[0].cause));
        report_free(report);
    }
}

static void required_ports_and_one_of_the_others(void **state)
{
    (void)state;
    static const struct {
        struct remote_verdict remotes[3];
        size_t required; /* of the ports, counted from the first */
        enum report_status status;
    } rows[] = {
        {{MATCH, MATCH, MATCH}, 1, REPORT_OK},
        {{MATCH, CLOSED, MATCH}, 1, REPORT_OK},
        {{MATCH, CLOSED, CLOSED}, 1, REPORT_NOT_OK},
        {{CLOSED, MATCH, MATCH}, 1, REPORT_NOT_OK},
        {{CLOSED, CLOSED, MATCH}, 0, REPORT_OK},
        {{CLOSED, CLOSED, CLOSED}, 0, REPORT_NOT_OK},
        {{MATCH, MATCH, CLOSED}, 3, REPORT_NOT_OK},
        {{MATCH, MATCH, MATCH}, 3, REPORT_OK},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct setup setup = {NATTED, 3, {1, 2, 3}, {BOUND, BOUND, BOUND}, {OPEN}};
        memcpy(setup.remotes, rows[i].remotes, sizeof rows[i].remotes);
        struct report *report = report_of(&setup, setup.ports, rows[i].required, NULL, 0);
        assert_int_equal(report_status(report), rows[i].status);
        report_free(report);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cause_has_its_sentence_and_its_remedy),
        cmocka_unit_test(what_this_machine_does_with_a_port_is_told),
        cmocka_unit_test(who_sent_an_icmp_error_is_told),
        cmocka_unit_test(places_that_disagree_are_named),
        cmocka_unit_test(missing_places_blame_nothing),
        cmocka_unit_test(no_router_can_forward_there),
        cmocka_unit_test(carriers_are_known_by_our_address),
        cmocka_unit_test(who_refuses_in_our_place_is_told),
        cmocka_unit_test(translated_ipv6_is_not_behind_a_carrier),
        cmocka_unit_test(a_router_that_cannot_forward_is_not_told_to),
        cmocka_unit_test(what_the_router_told_replaces_what_was_guessed),
        cmocka_unit_test(a_port_that_is_reached_counts_more_than_the_router),
        cmocka_unit_test(every_row_of_the_table_can_be_said),
        cmocka_unit_test(every_failure_has_a_message_and_a_remedy),
        cmocka_unit_test(a_message_has_the_words_of_its_facts),
        cmocka_unit_test(a_port_with_an_unknown_state_is_not_checked),
        cmocka_unit_test(like_ports_are_one_group),
        cmocka_unit_test(what_no_checker_answered_is_one_group),
        cmocka_unit_test(a_range_led_to_one_port_is_told_at_once),
        cmocka_unit_test(one_line_sums_all_ports_up),
        cmocka_unit_test(what_may_be_advertised),
        cmocka_unit_test(a_rented_port_is_treated_as_in_use),
        cmocka_unit_test(renting_out_a_port_does_not_withdraw_it),
        cmocka_unit_test(missing_places_do_not_withdraw_a_port),
        cmocka_unit_test(an_address_inside_is_not_asked_about_from_the_internet),
        cmocka_unit_test(a_machine_that_was_reached_has_a_way_in),
        cmocka_unit_test(only_handshakes_of_checkers_count),
        cmocka_unit_test(required_ports_and_one_of_the_others),
    };
    return cmocka_run_group_tests_name("advice", tests, NULL, NULL);
}
