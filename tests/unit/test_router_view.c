/* SPDX-License-Identifier: MIT
 *
 * What the words of a router show.
 */
#include "verifier/router_view.h"

#include "addresses.h"

#define COUNT(array)   (sizeof(array) / sizeof(array)[0])

#define SPOKEN(result) {SPEECH_SPOKEN, (result)}
#define SEEN           "203.0.113.7"

/* `outer` is NULL for a router that told no address. */
static struct router_view view_of(struct router_speech natpmp, struct router_speech pcp,
                                  const char *outer, const char *seen)
{
    struct router_view view = {
        .is_asked = true,
        .address = address_of("192.168.1.1"),
        .answer.speech = {[ROUTER_NATPMP] = natpmp, [ROUTER_PCP] = pcp},
        .answer.has_outer = outer != NULL,
    };
    struct address seen_address = address_of(seen ? seen : "::");
    if (outer)
        view.answer.outer_address = address_of(outer);
    router_view_judge(&view, seen ? &seen_address : NULL);
    return view;
}

#define NO_SIGN (-1)

static void an_outer_address_shows_what_is_in_front_of_the_router(void **state)
{
    (void)state;
    static const struct {
        const char *outer, *seen;
        enum router_outer expected;
        int sign;
        const char *text;
    } rows[] = {
        {SEEN, SEEN, ROUTER_OUTER_SAME, SIGN_OUTER_SAME, "same"},
        {"10.0.0.2", SEEN, ROUTER_OUTER_PRIVATE, SIGN_OUTER_PRIVATE, "private"},
        {"172.31.9.9", SEEN, ROUTER_OUTER_PRIVATE, SIGN_OUTER_PRIVATE, "private"},
        {"192.168.0.2", NULL, ROUTER_OUTER_PRIVATE, SIGN_OUTER_PRIVATE, "private"},
        {"100.64.0.1", SEEN, ROUTER_OUTER_CARRIER, SIGN_OUTER_CARRIER, "carrier"},
        {"100.127.255.254", NULL, ROUTER_OUTER_CARRIER, SIGN_OUTER_CARRIER, "carrier"},
        {"192.0.0.2", SEEN, ROUTER_OUTER_CARRIER, SIGN_OUTER_CARRIER, "carrier"},
        {"100.63.255.255", SEEN, ROUTER_OUTER_OTHER, SIGN_OUTER_OTHER, "other"},
        {"100.128.0.0", SEEN, ROUTER_OUTER_OTHER, SIGN_OUTER_OTHER, "other"},
        {"45.12.7.7", SEEN, ROUTER_OUTER_OTHER, SIGN_OUTER_OTHER, "other"},
        {"203.0.113.8", SEEN, ROUTER_OUTER_OTHER, SIGN_OUTER_OTHER, "other"},
        {"45.12.7.7", NULL, ROUTER_OUTER_PUBLIC, NO_SIGN, "public"},
        /* within a network, a checker may see a private address, too */
        {"10.0.0.2", "10.0.0.2", ROUTER_OUTER_SAME, SIGN_OUTER_SAME, "same"},
        /* not on the other side of a router */
        {"127.0.0.1", SEEN, ROUTER_OUTER_UNKNOWN, NO_SIGN, NULL},
        {"169.254.1.1", SEEN, ROUTER_OUTER_UNKNOWN, NO_SIGN, NULL},
        {"224.0.0.1", SEEN, ROUTER_OUTER_UNKNOWN, NO_SIGN, NULL},
        {"255.255.255.255", SEEN, ROUTER_OUTER_UNKNOWN, NO_SIGN, NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct router_view view =
            view_of((struct router_speech)SPOKEN(0), (struct router_speech){0},
                    rows[i].outer, rows[i].seen);
        unsigned signs = rows[i].sign == NO_SIGN ? 0 : 1u << rows[i].sign;
        const char *text = router_outer_text(view.outer);
        if (view.outer != rows[i].expected || router_view_signs(&view).bits != signs ||
            (text ? !rows[i].text || strcmp(text, rows[i].text) != 0
                  : rows[i].text != NULL))
            fail_msg("%s: %s", rows[i].outer, text ? text : "nothing");
    }
}

/* Result codes: RFC 6886, section 3.5; RFC 6887, section 7.4. */
static void an_answer_without_an_address_shows_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct router_speech natpmp, pcp;
        const char *seen;
        bool is_missing, can_map;
        const char *protocols, *words;
    } rows[] = {
        {"silence", {0}, {0}, SEEN, false, false, "", "answered"},
        {"closed",
         {SPEECH_CLOSED, 0},
         {SPEECH_CLOSED, 0},
         SEEN,
         false,
         false,
         "",
         "answered"},
        {"another version", {0}, {SPEECH_OTHER, 0}, SEEN, false, false, "", "answered"},
        {"PCP", {0}, SPOKEN(0), SEEN, false, true, "PCP", "answered"},
        {"PCP without ANNOUNCE", {0}, SPOKEN(4), SEEN, false, true, "PCP", "answered"},
        {"PCP, not authorized", {0}, SPOKEN(2), SEEN, false, false, "PCP", "answered"},
        {"PCP, no resources", {0}, SPOKEN(8), SEEN, false, false, "PCP", "answered"},
        {"PCP, network failure",
         {0},
         SPOKEN(7),
         SEEN,
         true,
         false,
         "PCP",
         "no outer address"},
        {"no address", SPOKEN(3), {0}, SEEN, true, false, "NAT-PMP", "no outer address"},
        {"no address, with PCP", SPOKEN(3), SPOKEN(0), SEEN, true, true, "PCP, NAT-PMP",
         "no outer address"},
        {"no address, and no internet",
         SPOKEN(3),
         {0},
         NULL,
         false,
         false,
         "NAT-PMP",
         "no outer address"},
        {"not authorized", SPOKEN(2), {0}, SEEN, false, false, "NAT-PMP", "answered"},
        {"a code of nobody", SPOKEN(999), {0}, SEEN, false, false, "NAT-PMP", "answered"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct router_view view =
            view_of(rows[i].natpmp, rows[i].pcp, NULL, rows[i].seen);
        AUTO_TEXT protocols = text_up_to(100);
        AUTO_TEXT words = text_up_to(100);
        router_view_format_protocols(&view, &protocols);
        router_view_format_outer(&view, &words);
        unsigned signs = rows[i].is_missing ? 1u << SIGN_OUTER_MISSING : 0;
        if ((view.outer == ROUTER_OUTER_MISSING) != rows[i].is_missing ||
            router_view_signs(&view).bits != signs ||
            router_view_can_map(&view) != rows[i].can_map ||
            strcmp(protocols.data, rows[i].protocols) != 0 ||
            strcmp(words.data, rows[i].words) != 0)
            fail_msg("%s: %s, %s", rows[i].what, protocols.data, words.data);
        assert_null(router_outer_text(view.outer));
    }
}

static void people_read_what_the_address_shows(void **state)
{
    (void)state;
    static const struct {
        const char *outer, *seen, *expected;
    } rows[] = {
        {SEEN, SEEN, "outer address 203.0.113.7"},
        {SEEN, NULL, "outer address 203.0.113.7"},
        {"10.0.0.2", SEEN, "outer address 10.0.0.2 (private)"},
        {"100.64.0.1", SEEN, "outer address 100.64.0.1 (carrier-grade NAT)"},
        {"45.12.7.7", SEEN, "outer address 45.12.7.7 (not the one that checkers see)"},
        {"127.0.0.1", SEEN, "outer address 127.0.0.1 (not usable)"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct router_view view =
            view_of((struct router_speech)SPOKEN(0), (struct router_speech)SPOKEN(0),
                    rows[i].outer, rows[i].seen);
        AUTO_TEXT text = text_up_to(100);
        router_view_format_outer(&view, &text);
        assert_string_equal(text.data, rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outer_address_shows_what_is_in_front_of_the_router),
        cmocka_unit_test(an_answer_without_an_address_shows_what_it_says),
        cmocka_unit_test(people_read_what_the_address_shows),
    };
    return cmocka_run_group_tests_name("router_view", tests, NULL, NULL);
}
