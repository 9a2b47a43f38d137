/* SPDX-License-Identifier: MIT
 *
 * What rules do with one connection: TCP to port 50800 of 192.168.50.2, through eth0.
 */
#include "verifier/packet_filter.h"

#include "addresses.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct ruleset *rules_of(const char *ip, const char *interface)
{
    const struct filter_view view = {
        .family = strchr(ip, ':') ? AF_INET6 : AF_INET,
        .has_address = true,
        .address = address_of(ip),
        .interface = interface,
    };
    struct ruleset *ruleset = ruleset_new(&view);
    assert_non_null(ruleset);
    return ruleset;
}

/* --- nftables ------------------------------------------------------------------------- */

#define CHAIN(name, type, hook, policy)                                                    \
    "{\"chain\": {\"family\": \"inet\", \"table\": \"f\", \"name\": \"" name               \
    "\", \"type\": \"" type "\", \"hook\": \"" hook                                        \
    "\", \"prio\": 0, \"policy\": \"" policy "\"}}"
#define EARLY(name, policy)                                                                \
    "{\"chain\": {\"family\": \"inet\", \"table\": \"f\", \"name\": \"" name               \
    "\", \"type\": \"filter\", \"hook\": \"prerouting\", \"prio\": -300, \"policy\": "     \
    "\"" policy "\"}}"
#define PLAIN(name)                                                                        \
    "{\"chain\": {\"family\": \"inet\", \"table\": \"f\", \"name\": \"" name "\"}}"
#define RULE(chain, ...)                                                                   \
    ", {\"rule\": {\"family\": \"inet\", \"table\": \"f\", \"chain\": \"" chain            \
    "\", \"expr\": [" __VA_ARGS__ "]}}"
#define MATCH(op, left, right)                                                             \
    "{\"match\": {\"op\": \"" op "\", \"left\": " left ", \"right\": " right "}}, "
#define PAYLOAD(protocol, field)                                                           \
    "{\"payload\": {\"protocol\": \"" protocol "\", \"field\": \"" field "\"}}"
#define META(key)     "{\"meta\": {\"key\": \"" key "\"}}"
#define DPORT(value)  MATCH("==", PAYLOAD("tcp", "dport"), value)
#define STATE(value)  MATCH("in", "{\"ct\": {\"key\": \"state\"}}", value)
#define IIF(op, name) MATCH(op, META("iifname"), "\"" name "\"")
#define LOCAL                                                                              \
    MATCH("==", "{\"fib\": {\"result\": \"type\", \"flags\": \"daddr\"}}", "\"local\"")
#define SADDR            MATCH("==", PAYLOAD("ip", "saddr"), "\"10.0.0.1\"")
#define FLAGS(op, value) MATCH(op, PAYLOAD("tcp", "flags"), value)
#define MASKED(op, mask, value)                                                            \
    MATCH(op, "{\"&\": [" PAYLOAD("tcp", "flags") ", " mask "]}", value)
#define FIB(result, flags, value)                                                          \
    MATCH("==", "{\"fib\": {\"result\": \"" result "\", \"flags\": [" flags "]}}", value)
#define MAP(name, elements)                                                                \
    "{\"map\": {\"family\": \"inet\", \"table\": \"f\", \"name\": \"" name                 \
    "\", \"elem\": [" elements "]}}, "
#define VMAP(key, data) "{\"vmap\": {\"key\": " key ", \"data\": " data "}}"
#define INGRESS(device)                                                                    \
    "{\"chain\": {\"family\": \"netdev\", \"table\": \"f\", \"name\": \"in\", \"type\": "  \
    "\"filter\", \"hook\": \"ingress\"" device ", \"policy\": \"accept\"}}, {\"rule\": "   \
    "{\"family\": \"netdev\", \"table\": \"f\", \"chain\": \"in\", \"expr\": [" DROP "]}}"
#define ACCEPT        "{\"accept\": null}"
#define DROP          "{\"drop\": null}"
#define REJECT        "{\"reject\": {\"type\": \"icmpx\", \"expr\": \"admin-prohibited\"}}"
#define NOTRACK       "{\"notrack\": null}"
#define RETURN        "{\"return\": null}"
#define JUMP(to)      "{\"jump\": {\"target\": \"" to "\"}}"
#define GOTO(to)      "{\"goto\": {\"target\": \"" to "\"}}"
#define DNAT(to)      "{\"dnat\": {\"family\": \"ip\", \"addr\": " to "}}"

#define INPUT(policy) CHAIN("in", "filter", "input", policy)
#define NAT           CHAIN("pre", "nat", "prerouting", "accept")

static const struct row {
    const char *what, *objects;
    enum filter_drop drop;
    const char *to;    /* led there, or NULL */
    const char *where; /* of `drop`, or NULL: not compared */
} nft_rows[] = {
    {"no rules", PLAIN("x"), FILTER_DROP_NO, NULL, ""},
    {"policy accept", INPUT("accept"), FILTER_DROP_NO, NULL, ""},
    {"policy drop", INPUT("drop"), FILTER_DROP_CERTAIN, NULL, "table inet f, chain in"},
    {"the usual exceptions are not for it",
     INPUT("drop") RULE("in", IIF("==", "lo") ACCEPT)
         RULE("in", STATE("[\"established\", \"related\"]") ACCEPT)
             RULE("in", MATCH("==", META("l4proto"), "\"udp\"") ACCEPT)
                 RULE("in", MATCH("==", PAYLOAD("icmp", "type"), "\"echo-request\"") ACCEPT)
                     RULE("in", DPORT("22") ACCEPT),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"accepted by port", INPUT("drop") RULE("in", DPORT("50800") ACCEPT), FILTER_DROP_NO,
     NULL, ""},
    {"by a range in a set",
     INPUT("drop") RULE("in", DPORT("{\"set\": [22, {\"range\": [50800, 50900]}]}") ACCEPT),
     FILTER_DROP_NO, NULL, ""},
    {"by a set of other ports",
     INPUT("drop") RULE("in", DPORT("{\"set\": [22, {\"range\": [50801, 50900]}]}") ACCEPT),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"by all ports but one",
     INPUT("drop") RULE("in", MATCH("!=", PAYLOAD("tcp", "dport"), "22") ACCEPT),
     FILTER_DROP_NO, NULL, ""},
    {"by all ports but it",
     INPUT("drop") RULE("in", MATCH("!=", PAYLOAD("tcp", "dport"), "50800") ACCEPT),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"by a named set",
     "{\"set\": {\"family\": \"inet\", \"table\": \"f\", \"name\": \"open\", \"elem\": "
     "[80, "
     "{\"elem\": {\"val\": 50800, \"timeout\": 9}}]}}, " INPUT("drop")
         RULE("in", DPORT("\"@open\"") ACCEPT),
     FILTER_DROP_NO, NULL, ""},
    {"by a named set that may change", INPUT("drop") RULE("in", DPORT("\"@open\"") ACCEPT),
     FILTER_DROP_MAYBE, NULL, NULL},
    {"by the name of a service", INPUT("drop") RULE("in", DPORT("\"golem\"") ACCEPT),
     FILTER_DROP_MAYBE, NULL, NULL},
    {"by a state map",
     INPUT("accept") RULE(
         "in", "{\"vmap\": {\"key\": {\"ct\": {\"key\": \"state\"}}, \"data\": {\"set\": "
               "[[\"established\", {\"accept\": null}], [\"new\", {\"drop\": null}]]}}}"),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"by a state map for others",
     INPUT("drop") RULE(
         "in",
         "{\"vmap\": {\"key\": {\"ct\": {\"key\": \"state\"}}, \"data\": {\"set\": "
         "[[\"established\", {\"accept\": null}], [\"invalid\", {\"drop\": null}]]}}}"),
     FILTER_DROP_CERTAIN, NULL, "table inet f, chain in"},
    {"before tracking, nothing is new",
     EARLY("pre", "accept") RULE("pre", STATE("\"new\"") DROP), FILTER_DROP_NO, NULL, ""},
    {"nor untracked", EARLY("pre", "drop") RULE("pre", STATE("\"untracked\"") ACCEPT),
     FILTER_DROP_CERTAIN, NULL, "table inet f, chain pre"},
    {"but invalid", EARLY("pre", "accept") RULE("pre", STATE("\"invalid\"") DROP),
     FILTER_DROP_CERTAIN, NULL, "table inet f, chain pre"},
    {"and not of another state",
     EARLY("pre", "accept")
         RULE("pre", MATCH("!=", "{\"ct\": {\"key\": \"state\"}}", "\"new\"") DROP),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"by a state map before tracking",
     EARLY("pre", "accept") RULE("pre", VMAP("{\"ct\": {\"key\": \"state\"}}",
                                             "{\"set\": [[\"invalid\", " DROP "]]}")),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"after it, it is not invalid", INPUT("accept") RULE("in", STATE("\"invalid\"") DROP),
     FILTER_DROP_NO, NULL, ""},
    {"kept from tracking",
     INPUT("drop") RULE("in", STATE("[\"new\", \"established\"]") ACCEPT) ", " EARLY(
         "pre", "accept") RULE("pre", DPORT("50800") NOTRACK),
     FILTER_DROP_CERTAIN, NULL, "table inet f, chain in"},
    {"kept from tracking, and accepted",
     INPUT("drop") RULE("in", STATE("\"untracked\"") ACCEPT) ", " EARLY("pre", "accept")
         RULE("pre", DPORT("50800") NOTRACK),
     FILTER_DROP_NO, NULL, ""},
    {"perhaps kept from tracking",
     INPUT("drop") RULE("in", STATE("\"new\"") ACCEPT) ", " EARLY("pre", "accept")
         RULE("pre", SADDR NOTRACK),
     FILTER_DROP_MAYBE, NULL, "table inet f, chain in"},
    {"another port kept from tracking",
     INPUT("drop") RULE("in", STATE("\"new\"") ACCEPT) ", " EARLY("pre", "accept")
         RULE("pre", DPORT("50801") NOTRACK),
     FILTER_DROP_NO, NULL, ""},
    {"too late to keep it from tracking",
     INPUT("drop") RULE("in", NOTRACK) RULE("in", STATE("\"new\"") ACCEPT), FILTER_DROP_NO,
     NULL, ""},
    {"kept from tracking, it is not led away",
     NAT RULE("pre", DPORT("50800") DNAT("\"10.88.0.2\"")) ", " EARLY("raw", "accept")
         RULE("raw", DPORT("50800") NOTRACK),
     FILTER_DROP_NO, NULL, ""},
    {"dropped before it is led away",
     NAT RULE("pre", DPORT("50800") DNAT("\"10.88.0.2\"")) ", " EARLY("raw", "accept")
         RULE("raw", DPORT("50800") DROP),
     FILTER_DROP_CERTAIN, NULL, "table inet f, chain raw"},
    {"rejected in the end",
     INPUT("accept") RULE("in", DPORT("22") ACCEPT)
         RULE("in", "{\"counter\": {}}, " REJECT),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"accepted from some", INPUT("drop") RULE("in", SADDR ACCEPT), FILTER_DROP_MAYBE, NULL,
     NULL},
    {"dropped from some", INPUT("accept") RULE("in", SADDR DROP), FILTER_DROP_MAYBE, NULL,
     NULL},
    {"dropped from some, then accepted",
     INPUT("drop") RULE("in", SADDR DROP) RULE("in", ACCEPT), FILTER_DROP_MAYBE, NULL,
     NULL},
    {"accepted up to a rate",
     INPUT("drop") RULE("in", "{\"limit\": {\"rate\": 5, \"per\": \"second\"}}, " ACCEPT),
     FILTER_DROP_MAYBE, NULL, NULL},
    {"a word that this version does not know",
     INPUT("drop") RULE("in", "{\"osf\": {}}, " ACCEPT), FILTER_DROP_MAYBE, NULL, NULL},
    {"by its interface", INPUT("drop") RULE("in", IIF("==", "eth0") ACCEPT), FILTER_DROP_NO,
     NULL, ""},
    {"by a wildcard", INPUT("drop") RULE("in", IIF("==", "eth*") ACCEPT), FILTER_DROP_NO,
     NULL, ""},
    {"by another interface", INPUT("drop") RULE("in", IIF("==", "wlan0") ACCEPT),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"by all interfaces but loopback", INPUT("accept") RULE("in", IIF("!=", "lo") DROP),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"by its address",
     INPUT("drop") RULE(
         "in", MATCH("==", PAYLOAD("ip", "daddr"),
                     "{\"prefix\": {\"addr\": \"192.168.50.0\", \"len\": 24}}") ACCEPT),
     FILTER_DROP_NO, NULL, ""},
    {"by another address",
     INPUT("drop")
         RULE("in", MATCH("==", PAYLOAD("ip", "daddr"), "\"192.168.50.3\"") ACCEPT),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"by the other family",
     INPUT("drop") RULE("in", MATCH("==", META("nfproto"), "\"ipv6\"") ACCEPT),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"in another chain",
     INPUT("drop") ", " PLAIN("zone") RULE("in", IIF("==", "eth0") JUMP("zone"))
         RULE("zone", DPORT("50800") ACCEPT),
     FILTER_DROP_NO, NULL, ""},
    {"back from another chain",
     INPUT("accept") RULE("in", JUMP("zone")) RULE("zone", RETURN) RULE("zone", DROP)
         RULE("in", REJECT),
     FILTER_DROP_CERTAIN, NULL, "table inet f, chain in"},
    {"not back from another chain",
     INPUT("drop") RULE("in", GOTO("zone")) RULE("zone", DPORT("22") DROP)
         RULE("in", ACCEPT),
     FILTER_DROP_CERTAIN, NULL, "table inet f, chain in"},
    {"out of a base chain", INPUT("drop") RULE("in", RETURN) RULE("in", ACCEPT),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"perhaps in another chain",
     INPUT("accept") RULE("in", SADDR JUMP("zone")) RULE("zone", DROP), FILTER_DROP_MAYBE,
     NULL, "table inet f, chain zone"},
    {"chains in a circle, which no kernel takes",
     INPUT("accept") RULE("in", JUMP("zone")) RULE("zone", JUMP("zone")), FILTER_DROP_MAYBE,
     NULL, NULL},
    {"the strictest of several base chains",
     INPUT("accept") ", " CHAIN("raw", "filter", "prerouting", "accept")
         RULE("raw", DPORT("50800") DROP),
     FILTER_DROP_CERTAIN, NULL, "table inet f, chain raw"},
    {"flags that no SYN has",
     INPUT("accept")
         RULE("in", MASKED("==", "[\"fin\", \"syn\"]", "[\"fin\", \"syn\"]") DROP)
             RULE("in", STATE("\"new\"")
                            MASKED("!=", "[\"fin\", \"syn\", \"rst\", \"ack\"]", "\"syn\"")
                                DROP) RULE("in", FLAGS("in", "[\"fin\", \"ack\"]") DROP)
                 RULE("in", FLAGS("!", "[\"fin\", \"syn\", \"rst\"]") DROP)
                     RULE("in", FLAGS("!=", "\"syn\"") DROP),
     FILTER_DROP_NO, NULL, ""},
    {"flags of a SYN",
     INPUT("accept")
         RULE("in", MASKED("==", "[\"fin\", \"syn\", \"rst\", \"ack\"]", "\"syn\"") DROP),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"one of several sets of flags",
     INPUT("accept")
         RULE("in", FLAGS("==", "{\"set\": [\"syn\", {\"|\": [\"syn\", \"ack\"]}]}") DROP),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"flags that are not known here",
     INPUT("accept") RULE("in", FLAGS("in", "\"ae\"") DROP), FILTER_DROP_MAYBE, NULL, NULL},
    {"a route leads to the sender",
     INPUT("accept") RULE("in", FIB("oif", "\"saddr\", \"iif\"", "false") DROP),
     FILTER_DROP_NO, NULL, ""},
    {"an address of its interface",
     INPUT("accept") RULE("in", FIB("type", "\"daddr\", \"iif\"", "\"local\"") DROP),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"an address of many",
     INPUT("accept") RULE(
         "in", FIB("type", "\"daddr\"", "{\"set\": [\"broadcast\", \"anycast\"]}") DROP),
     FILTER_DROP_NO, NULL, ""},
    {"sent to many, or to it",
     INPUT("accept") RULE("in", MATCH("==", META("pkttype"), "\"broadcast\"") DROP)
         RULE("in", MATCH("==", META("pkttype"), "\"host\"") DPORT("50800") REJECT),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"ports from one on",
     INPUT("drop") RULE("in", MATCH(">", PAYLOAD("tcp", "dport"), "50799") ACCEPT),
     FILTER_DROP_NO, NULL, ""},
    {"ports up to one",
     INPUT("drop") RULE("in", MATCH("<", PAYLOAD("tcp", "dport"), "50800") ACCEPT),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"by source ports",
     INPUT("drop") RULE("in", MATCH("==", PAYLOAD("tcp", "sport"), "53") ACCEPT) RULE(
         "in", MATCH("==", PAYLOAD("tcp", "sport"), "{\"range\": [1024, 65535]}") ACCEPT),
     FILTER_DROP_NO, NULL, ""},
    {"by a map with a name",
     MAP("m", "[50800, " DROP "], [22, " ACCEPT "]") INPUT("accept")
         RULE("in", VMAP(PAYLOAD("tcp", "dport"), "\"@m\"")),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"by a map of protocols and ports",
     MAP("m", "[{\"concat\": [\"udp\", 50800]}, " DROP
              "], [{\"concat\": [\"tcp\", 50800]}, " ACCEPT "]") INPUT("drop")
         RULE("in", VMAP("{\"concat\": [" META("l4proto") ", " PAYLOAD("th", "dport") "]}",
                         "\"@m\"")),
     FILTER_DROP_NO, NULL, ""},
    {"by a map that is not known",
     INPUT("drop") RULE("in", VMAP(PAYLOAD("tcp", "dport"), "\"@m\"")), FILTER_DROP_MAYBE,
     NULL, NULL},
    {"beyond a rate of each sender",
     INPUT("accept")
         RULE("in", "{\"set\": {\"op\": \"add\", \"set\": \"@met\", \"stmt\": [{\"limit\": "
                    "{\"rate\": 5, \"inv\": true}}]}}, " DROP),
     FILTER_DROP_MAYBE, NULL, NULL},
    {"counted for each sender",
     INPUT("accept") RULE(
         "in", "{\"set\": {\"op\": \"add\", \"set\": \"@met\", \"stmt\": [{\"counter\": "
               "null}]}}, " DROP),
     FILTER_DROP_CERTAIN, NULL, NULL},
    {"at its device", INGRESS(", \"dev\": \"eth0\""), FILTER_DROP_CERTAIN, NULL, NULL},
    {"at loopback", INGRESS(", \"dev\": \"lo\""), FILTER_DROP_NO, NULL, ""},
    {"at a device that may be below it", INGRESS(", \"dev\": \"port1\""), FILTER_DROP_MAYBE,
     NULL, NULL},
    {"at a device that nft does not tell", INGRESS(""), FILTER_DROP_MAYBE, NULL, NULL},
    {"what is on the way out does not matter", CHAIN("out", "filter", "output", "drop"),
     FILTER_DROP_NO, NULL, ""},

    {"led away", NAT RULE("pre", LOCAL DPORT("50800") DNAT("\"10.88.0.2\"")),
     FILTER_DROP_NO, "10.88.0.2", ""},
    {"led away past a filter",
     NAT ", " INPUT("drop") RULE("pre", DPORT("50800") DNAT("\"10.88.0.2\"")),
     FILTER_DROP_NO, "10.88.0.2", ""},
    {"another port led away", NAT RULE("pre", DPORT("50801") DNAT("\"10.88.0.2\"")),
     FILTER_DROP_NO, NULL, ""},
    {"led away from some", NAT RULE("pre", SADDR DNAT("\"10.88.0.2\"")), FILTER_DROP_NO,
     NULL, ""},
    {"led away in a chain of chains",
     NAT RULE("pre", LOCAL JUMP("ports")) RULE("ports", DPORT("50800") JUMP("one"))
         RULE("one", SADDR JUMP("mark")) RULE("mark", "{\"mangle\": {}}")
             RULE("one", DPORT("50800") DNAT("\"10.88.0.2\"")),
     FILTER_DROP_NO, "10.88.0.2", ""},
    {"led away by a map",
     NAT RULE("pre",
              DNAT("{\"map\": {\"key\": " PAYLOAD(
                  "tcp", "dport") ", \"data\": {\"set\": [[50800, \"10.0.0.2\"]]}}}")),
     FILTER_DROP_NO, "another address", ""},
    {"led away by a map with a name",
     MAP("m", "[50800, \"10.0.0.2\"]") NAT RULE(
         "pre",
         DNAT("{\"map\": {\"key\": " PAYLOAD("tcp", "dport") ", \"data\": \"@m\"}}")),
     FILTER_DROP_NO, "another address", ""},
    {"perhaps led away past a filter",
     NAT ", " INPUT("drop") RULE("pre", SADDR DNAT("\"10.88.0.2\"")), FILTER_DROP_MAYBE,
     NULL, NULL},
    {"redirected to another port",
     NAT RULE("pre", DPORT("50800") "{\"redirect\": {\"port\": 80}}"), FILTER_DROP_NO, NULL,
     ""},
    {"redirected to a port that a filter sees",
     NAT ", " INPUT("drop") RULE("pre", DPORT("50800") "{\"redirect\": {\"port\": 80}}")
         RULE("in", DPORT("80") ACCEPT),
     FILTER_DROP_MAYBE, NULL, NULL},
    {"led away on the way out only",
     CHAIN("out", "nat", "output", "accept") RULE("out", DNAT("\"10.88.0.2\"")),
     FILTER_DROP_NO, NULL, ""},
};

static void check_row(const struct row *row, const struct ruleset *ruleset)
{
    struct port_filter found = ruleset_judge(ruleset, 50800);
    if (!found.is_known || found.drop != row->drop || found.is_led != (row->to != NULL) ||
        (row->to && strcmp(row->to, found.to) != 0) ||
        (row->where && strcmp(row->where, found.where) != 0))
        fail_msg("%s: drop %d, led %d to '%s', where '%s'", row->what, (int)found.drop,
                 found.is_led, found.to, found.where);
}

static void rules_of_nftables(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(nft_rows); i++) {
        char json[4096];
        bool has_foreign = true;
        struct ruleset *ruleset = rules_of("192.168.50.2", "eth0");
        snprintf(json, sizeof json, "{\"nftables\": [%s]}", nft_rows[i].objects);
        if (!ruleset_add_nft(ruleset, json, strlen(json), &has_foreign))
            fail_msg("%s: not read", nft_rows[i].what);
        assert_false(has_foreign);
        check_row(&nft_rows[i], ruleset);
        ruleset_free(ruleset);
    }
}

static void a_view_that_knows_little_is_certain_of_little(void **state)
{
    (void)state;
    static const char json[] =
        "{\"nftables\": [" INPUT("drop") RULE("in", IIF("==", "eth0") ACCEPT) "]}";
    const struct filter_view view = {.family = AF_INET, .interface = ""};
    struct ruleset *ruleset = ruleset_new(&view);
    bool has_foreign;
    assert_true(ruleset_add_nft(ruleset, json, strlen(json), &has_foreign));
    assert_int_equal(ruleset_judge(ruleset, 1).drop, FILTER_DROP_MAYBE);
    ruleset_free(ruleset);
}

/* Senders are the addresses of checkers: 203.0.113.1, or that and 198.51.100.1. */
static void rules_for_senders(void **state)
{
    (void)state;
    static const struct {
        const char *sender;
        enum filter_drop of_one, of_two; /* where all but the sender are dropped */
    } rows[] = {
        {"\"203.0.113.1\"", FILTER_DROP_NO, FILTER_DROP_MAYBE},
        {"\"203.0.113.2\"", FILTER_DROP_CERTAIN, FILTER_DROP_CERTAIN},
        {"{\"prefix\": {\"addr\": \"192.168.0.0\", \"len\": 16}}", FILTER_DROP_CERTAIN,
         FILTER_DROP_CERTAIN},
        {"{\"prefix\": {\"addr\": \"203.0.112.0\", \"len\": 23}}", FILTER_DROP_NO,
         FILTER_DROP_MAYBE},
        {"{\"range\": [\"198.51.100.0\", \"203.0.113.1\"]}", FILTER_DROP_NO,
         FILTER_DROP_NO},
        {"{\"range\": [\"198.51.100.2\", \"203.0.113.0\"]}", FILTER_DROP_CERTAIN,
         FILTER_DROP_CERTAIN},
        {"{\"set\": [\"10.0.0.1\", \"203.0.113.1\"]}", FILTER_DROP_NO, FILTER_DROP_MAYBE},
        {"\"a name\"", FILTER_DROP_MAYBE, FILTER_DROP_MAYBE},
        {"\"@blocked\"", FILTER_DROP_MAYBE, FILTER_DROP_MAYBE},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t count = 1; count <= 2; count++) {
            char json[1024];
            bool has_foreign;
            const struct filter_view view = {
                .family = AF_INET,
                .interface = "eth0",
                .sources = {address_of("203.0.113.1"), address_of("198.51.100.1")},
                .source_count = count,
            };
            struct ruleset *ruleset = ruleset_new(&view);
            snprintf(json, sizeof json,
                     "{\"nftables\": [" INPUT("drop")
                         RULE("in", MATCH("==", PAYLOAD("ip", "saddr"), "%s") ACCEPT) "]}",
                     rows[i].sender);
            assert_true(ruleset_add_nft(ruleset, json, strlen(json), &has_foreign));
            enum filter_drop drop = count == 1 ? rows[i].of_one : rows[i].of_two;
            if (ruleset_judge(ruleset, 50800).drop != drop)
                fail_msg("%s, %zu", rows[i].sender, count);
            ruleset_free(ruleset);
        }
}

static void tables_of_iptables_are_left_to_iptables(void **state)
{
    (void)state;
    static const char json[] = "{\"nftables\": [" INPUT("drop") RULE(
        "in", "{\"xt\": {\"type\": \"match\", \"name\": \"conntrack\"}}, " ACCEPT) "]}";
    struct ruleset *ruleset = rules_of("192.168.50.2", "eth0");
    bool has_foreign = false;
    assert_true(ruleset_add_nft(ruleset, json, strlen(json), &has_foreign));
    assert_true(has_foreign);
    assert_int_equal(ruleset_judge(ruleset, 50800).drop, FILTER_DROP_NO);
    ruleset_free(ruleset);
}

static void what_is_no_rule_set_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{}", "[]", "{\"nftables\": 1}",
                                        "{\"nftables\": ["};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct ruleset *ruleset = rules_of("192.168.50.2", "eth0");
        bool has_foreign;
        assert_false(ruleset_add_nft(ruleset, texts[i], strlen(texts[i]), &has_foreign));
        ruleset_free(ruleset);
    }
}

/* --- iptables ------------------------------------------------------------------------- */

#define FILTER(policy, rules)                                                              \
    "# Generated\n*filter\n:INPUT " policy " [0:0]\n:FORWARD DROP [0:0]\n:zone - [0:0]\n"  \
    ":OUTPUT ACCEPT [0:0]\n" rules "COMMIT\n"
#define RAW(rule)   "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING " rule "\nCOMMIT\n"
#define NATS(rules) "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n" rules "COMMIT\n"

static void rules_of_iptables(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"policy accept", FILTER("ACCEPT", ""), FILTER_DROP_NO, NULL, ""},
        {"policy drop", FILTER("DROP", ""), FILTER_DROP_CERTAIN, NULL,
         "iptables table filter, chain INPUT"},
        {"the usual exceptions are not for it",
         FILTER("DROP", "-A INPUT -i lo -j ACCEPT\n"
                        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
                        "-A INPUT -p udp -m udp --dport 50800 -j ACCEPT\n"
                        "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n"),
         FILTER_DROP_CERTAIN, NULL, NULL},
        {"accepted by port",
         FILTER("DROP", "-A INPUT -p tcp -m tcp --dport 50800 -j ACCEPT\n"), FILTER_DROP_NO,
         NULL, ""},
        {"by a range",
         FILTER("DROP", "-A INPUT -p tcp -m tcp --dport 50800:50900 -j ACCEPT\n"),
         FILTER_DROP_NO, NULL, ""},
        {"by several",
         FILTER("DROP", "-A INPUT -p tcp -m multiport --dports 22,50800:50900 -j ACCEPT\n"),
         FILTER_DROP_NO, NULL, ""},
        {"by other ports",
         FILTER("DROP", "-A INPUT -p tcp -m multiport --dports 22,50801:50900 -j ACCEPT\n"),
         FILTER_DROP_CERTAIN, NULL, NULL},
        {"by all ports but it",
         FILTER("DROP", "-A INPUT -p tcp -m tcp ! --dport 50800 -j ACCEPT\n"),
         FILTER_DROP_CERTAIN, NULL, NULL},
        {"before tracking, nothing is new", RAW("-m conntrack --ctstate NEW -j DROP"),
         FILTER_DROP_NO, NULL, ""},
        {"but invalid", RAW("-m conntrack --ctstate INVALID -j DROP"), FILTER_DROP_CERTAIN,
         NULL, "iptables table raw, chain PREROUTING"},
        {"and not of another state",
         RAW("-m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP"), FILTER_DROP_CERTAIN,
         NULL, NULL},
        {"kept from tracking",
         RAW("-p tcp -m tcp --dport 50800 -j CT --notrack")
             FILTER("DROP", "-A INPUT -m state --state NEW -j ACCEPT\n"),
         FILTER_DROP_CERTAIN, NULL, "iptables table filter, chain INPUT"},
        {"kept from tracking by its old name, and accepted",
         RAW("-p tcp -m tcp --dport 50800 -j NOTRACK")
             FILTER("DROP", "-A INPUT -m state --state UNTRACKED -j ACCEPT\n"),
         FILTER_DROP_NO, NULL, ""},
        {"in another zone, it is tracked",
         RAW("-p tcp -j CT --zone 3")
             FILTER("DROP", "-A INPUT -m state --state NEW -j ACCEPT\n"),
         FILTER_DROP_NO, NULL, ""},
        {"with a comment",
         FILTER("DROP",
                "-A INPUT -p tcp -m tcp --dport 50800 -m comment --comment \"-j DROP "
                "\\\" it\" -j ACCEPT\n"),
         FILTER_DROP_NO, NULL, ""},
        {"rejected in the end",
         FILTER("ACCEPT", "-A INPUT -j REJECT --reject-with icmp-host-prohibited\n"),
         FILTER_DROP_CERTAIN, NULL, NULL},
        {"accepted from some", FILTER("DROP", "-A INPUT -s 10.0.0.0/8 -j ACCEPT\n"),
         FILTER_DROP_MAYBE, NULL, NULL},
        {"by other interfaces", FILTER("DROP", "-A INPUT ! -i eth0 -j ACCEPT\n"),
         FILTER_DROP_CERTAIN, NULL, NULL},
        {"by a wildcard", FILTER("DROP", "-A INPUT -i e+ -j ACCEPT\n"), FILTER_DROP_NO,
         NULL, ""},
        {"by its address", FILTER("DROP", "-A INPUT -d 192.168.50.2/32 -j ACCEPT\n"),
         FILTER_DROP_NO, NULL, ""},
        {"by a mask", FILTER("DROP", "-A INPUT -d 192.168.0.0/255.255.0.0 -j ACCEPT\n"),
         FILTER_DROP_NO, NULL, ""},
        {"by a mask with holes",
         FILTER("DROP", "-A INPUT -d 192.168.0.2/255.255.0.255 -j ACCEPT\n"),
         FILTER_DROP_MAYBE, NULL, NULL},
        {"by a range of addresses",
         FILTER("DROP",
                "-A INPUT -m iprange --dst-range 192.168.50.1-192.168.50.9 -j ACCEPT\n"),
         FILTER_DROP_NO, NULL, ""},
        {"what no SYN is",
         FILTER("ACCEPT",
                "-A INPUT -f -j DROP\n"
                "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP\n"
                "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP\n"
                "-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack "
                "--ctstate NEW -j DROP\n"
                "-A INPUT -m pkttype --pkt-type broadcast -j DROP\n"
                "-A INPUT -m rpfilter --loose --invert -j DROP\n"
                "-A INPUT -p tcp -m tcp --sport 53 -j DROP\n"),
         FILTER_DROP_NO, NULL, ""},
        {"what a SYN is",
         FILTER("ACCEPT",
                "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP\n"),
         FILTER_DROP_CERTAIN, NULL, NULL},
        {"by source ports",
         FILTER("DROP", "-A INPUT -p tcp -m tcp --sport 1024:65535 -j ACCEPT\n"),
         FILTER_DROP_NO, NULL, ""},
        {"by other source ports",
         FILTER("DROP", "-A INPUT -p tcp -m tcp --sport 53 -j ACCEPT\n"),
         FILTER_DROP_CERTAIN, NULL, NULL},
        {"the policy of either kind of iptables", FILTER("DROP", "") FILTER("ACCEPT", ""),
         FILTER_DROP_CERTAIN, NULL, NULL},
        {"up to a rate",
         FILTER("DROP", "-A INPUT -m limit --limit 5/min --limit-burst 9 -j ACCEPT\n"),
         FILTER_DROP_MAYBE, NULL, NULL},
        {"a target that is not known here",
         FILTER("ACCEPT", "-A INPUT -j PSD --psd-delay 3\n"), FILTER_DROP_MAYBE, NULL,
         NULL},
        {"logged, then dropped",
         FILTER("ACCEPT", "-A INPUT -j LOG --log-prefix \"[ UFW BLOCK] \"\n"
                          "-A INPUT -j DROP\n"),
         FILTER_DROP_CERTAIN, NULL, NULL},
        {"in another chain",
         FILTER("DROP",
                "-A INPUT -j zone\n-A zone -p tcp -m tcp --dport 50800 -j ACCEPT\n"),
         FILTER_DROP_NO, NULL, ""},
        {"back from another chain",
         FILTER("DROP", "-A INPUT -j zone\n-A zone -j RETURN\n-A zone -j ACCEPT\n"),
         FILTER_DROP_CERTAIN, NULL, NULL},
        {"Docker's",
         NATS("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n"
              "-A DOCKER -i docker0 -j RETURN\n"
              "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 50800 -j DNAT --to-destination "
              "172.17.0.2:80\n") FILTER("DROP", ""),
         FILTER_DROP_NO, "172.17.0.2", ""},
        {"Docker's for another port",
         NATS("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n"
              "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 50801 -j DNAT --to-destination "
              "172.17.0.2:80\n"),
         FILTER_DROP_NO, NULL, ""},
        {"only to another port",
         NATS("-A PREROUTING -p tcp -j DNAT --to-destination :80\n"), FILTER_DROP_NO, NULL,
         ""},
        {"IPv6 in brackets",
         NATS("-A PREROUTING -p tcp -j DNAT --to-destination [fd00::2]:80\n"),
         FILTER_DROP_NO, "fd00::2", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct ruleset *ruleset = rules_of("192.168.50.2", "eth0");
        if (!ruleset_add_iptables(ruleset, rows[i].objects, strlen(rows[i].objects)))
            fail_msg("%s: not read", rows[i].what);
        check_row(&rows[i], ruleset);
        ruleset_free(ruleset);
    }
}

static void limits_are_kept(void **state)
{
    (void)state;
    static char line[8192];
    memset(line, 'x', sizeof line);
    struct ruleset *ruleset = rules_of("::1", "");
    assert_false(ruleset_add_iptables(ruleset, line, sizeof line));
    ruleset_free(ruleset);

    ruleset = rules_of("::1", "");
    bool is_read = true;
    for (unsigned i = 0; i < 3000 && is_read; i++) {
        char chain[64];
        int len = snprintf(chain, sizeof chain, "*filter\n:chain%u - [0:0]\n", i);
        is_read = ruleset_add_iptables(ruleset, chain, (size_t)len);
    }
    assert_false(is_read);
    ruleset_free(ruleset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_of_nftables),
        cmocka_unit_test(a_view_that_knows_little_is_certain_of_little),
        cmocka_unit_test(rules_for_senders),
        cmocka_unit_test(tables_of_iptables_are_left_to_iptables),
        cmocka_unit_test(what_is_no_rule_set_is_refused),
        cmocka_unit_test(rules_of_iptables),
        cmocka_unit_test(limits_are_kept),
    };
    return cmocka_run_group_tests_name("packet_filter", tests, NULL, NULL);
}
