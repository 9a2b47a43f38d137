/* SPDX-License-Identifier: MIT */
#include "verifier/upnp_reply.h"

#include "addresses.h"
#include "base/err.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define ROUTER                                                                             \
    "{\"router\": \"http://192.168.50.1/\", \"connected\": true, \"outer\": "              \
    "\"45.12.7.7\", \"ignored\": 2}\n"
#define DISCONNECTED                                                                       \
    "{\"router\": \"http://192.168.50.1/\", \"connected\": false, \"ignored\": 0}\n"
#define ROUTER_6                                                                           \
    "{\"router\": \"http://[fe80::1]/\", \"connected\": true, \"ignored\": 0}\n"
#define MAPPED(port) "{\"port\": " #port ", \"result\": 0, \"lease\": 3600}\n"
#define END          "{\"end\": \"done\"}\n"

static const uint16_t ports[] = {7466, 50800};

struct fixture {
    struct upnp_reply reply;
    struct upnp_port_reply answers[COUNT(ports)];
};

static void fixture_init(struct fixture *fixture)
{
    upnp_reply_init(&fixture->reply, ports, COUNT(ports), fixture->answers);
}

static bool add(struct fixture *fixture, const char *text)
{
    return upnp_reply_add(&fixture->reply, text, strlen(text), NULL);
}

static void a_whole_reply_is_read_in_any_pieces(void **state)
{
    static const char text[] =
        ROUTER MAPPED(7466) "{\"port\": 50800, \"result\": 718, \"holder\": "
                            "\"192.168.50.3\"}\n" END;
    (void)state;
    for (size_t piece = 1; piece < sizeof text; piece++) {
        struct fixture fixture;
        struct address outer = address_of("45.12.7.7");
        struct address holder = address_of("192.168.50.3");
        fixture_init(&fixture);
        for (size_t at = 0; at < sizeof text - 1; at += piece) {
            size_t rest = sizeof text - 1 - at;
            assert_true(upnp_reply_add(&fixture.reply, text + at,
                                       rest < piece ? rest : piece, NULL));
        }
        assert_int_equal(fixture.reply.end, UPNP_END_DONE);
        assert_true(fixture.reply.has_router && fixture.reply.is_connected);
        assert_true(fixture.reply.has_outer);
        assert_true(address_equals(&fixture.reply.outer, &outer));
        assert_int_equal(fixture.reply.ignored, 2);
        assert_int_equal(fixture.reply.answer_count, 2);
        assert_true(fixture.answers[0].is_answered);
        assert_int_equal(fixture.answers[0].result, 0);
        assert_int_equal(fixture.answers[0].lease, 3600);
        assert_int_equal(fixture.answers[1].result, 718);
        assert_true(fixture.answers[1].has_holder);
        assert_true(address_equals(&fixture.answers[1].holder, &holder));
    }
}

static void ends_without_ports_say_why(void **state)
{
    static const struct {
        const char *text;
        enum upnp_end expected;
    } rows[] = {
        {"{\"router\": null, \"ignored\": 3}\n{\"end\": \"no_router\"}\n",
         UPNP_END_NO_ROUTER},
        {"{\"router\": \"http://192.168.50.1/\", \"connected\": false, \"ignored\": 0}\n"
         "{\"end\": \"not_connected\"}\n",
         UPNP_END_NOT_CONNECTED},
        {"", UPNP_END_NONE},
        {ROUTER, UPNP_END_NONE},
        {ROUTER MAPPED(7466), UPNP_END_NONE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture fixture;
        fixture_init(&fixture);
        assert_true(add(&fixture, rows[i].text));
        assert_int_equal(fixture.reply.end, rows[i].expected);
    }
}

static void members_say_what_became_of_a_port(void **state)
{
    static const struct {
        const char *line;
        bool is_ipv6, is_removal;
        struct upnp_port_reply expected;
    } rows[] = {
        {"{\"port\": 7466, \"result\": 0, \"lease\": 0}",
         .expected = {.is_answered = true}},
        {"{\"port\": 7466, \"result\": 0, \"lease\": 4294967295, \"was_gone\": true}",
         .expected = {.is_answered = true, .lease = 4294967295u, .was_gone = true}},
        {"{\"port\": 7466, \"result\": 0, \"lease\": 60, \"is_foreign\": true}",
         .expected = {.is_answered = true, .lease = 60, .is_foreign = true}},
        {"{\"port\": 7466, \"result\": null}", .expected = {.is_answered = false}},
        {"{\"port\": 7466, \"result\": 606}",
         .expected = {.is_answered = true, .result = 606}},
        {"{\"port\": 7466, \"result\": 0, \"lease\": 60, \"pinhole\": 65535}",
         .is_ipv6 = true,
         .expected =
             {.is_answered = true, .lease = 60, .has_pinhole = true, .pinhole = 65535}},
        {"{\"port\": 7466, \"result\": 0}", .is_removal = true,
         .expected = {.is_answered = true}},
        {"{\"port\": 7466, \"result\": 714}", .is_removal = true,
         .expected = {.is_answered = true, .result = 714}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture fixture;
        const struct upnp_port_reply *answer = &fixture.answers[0];
        const struct upnp_port_reply *expected = &rows[i].expected;
        fixture_init(&fixture);
        fixture.reply.is_ipv6 = rows[i].is_ipv6;
        fixture.reply.is_removal = rows[i].is_removal;
        assert_true(add(&fixture, rows[i].is_ipv6 ? ROUTER_6 : ROUTER));
        assert_true(add(&fixture, rows[i].line));
        assert_int_equal(fixture.reply.answer_count, 0);
        assert_true(add(&fixture, "\n"));
        assert_int_equal(fixture.reply.answer_count, 1);
        assert_int_equal(answer->is_answered, expected->is_answered);
        assert_int_equal(answer->result, expected->result);
        assert_int_equal(answer->lease, expected->lease);
        assert_int_equal(answer->was_gone, expected->was_gone);
        assert_int_equal(answer->is_foreign, expected->is_foreign);
        assert_int_equal(answer->has_pinhole, expected->has_pinhole);
        assert_int_equal(answer->pinhole, expected->pinhole);
    }
}

/* Nothing can be mapped then. */
static void a_router_without_a_connection_removes(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_init(&fixture);
    assert_true(add(&fixture, DISCONNECTED));
    assert_false(add(&fixture, MAPPED(7466)));

    fixture_init(&fixture);
    fixture.reply.is_removal = true;
    assert_true(add(&fixture, DISCONNECTED "{\"port\": 7466, \"result\": 0}\n"
                                           "{\"port\": 50800, \"result\": 606}\n" END));
    assert_int_equal(fixture.reply.end, UPNP_END_DONE);
    assert_int_equal(fixture.reply.answer_count, 2);

    fixture_init(&fixture);
    fixture.reply.is_removal = true;
    assert_false(add(&fixture, DISCONNECTED "{\"end\": \"not_connected\"}\n"));
}

/* After a router's line and, where it matters, ports. */
static void other_forms_are_refused(void **state)
{
    static const struct {
        enum { MAP, REMOVE, PINHOLE } asked;
        const char *before, *line;
    } rows[] = {
        /* no object, or not JSON */
        {MAP, "", ""},
        {MAP, "", "[]"},
        {MAP, "", "null"},
        {MAP, "", "{\"router\": null, \"ignored\": 0"},
        {MAP, "", "{\"router\": null, \"ignored\": 0} {}"},
        {MAP, "", "{\"router\": null, \"router\": null, \"ignored\": 0}"},
        /* the router */
        {MAP, "", "{\"port\": 7466, \"result\": 0, \"lease\": 3600}"},
        {MAP, "", "{\"end\": \"no_router\"}"},
        {MAP, "", "{\"router\": null}"},
        {MAP, "", "{\"ignored\": 0}"},
        {MAP, "", "{\"router\": null, \"ignored\": -1}"},
        {MAP, "", "{\"router\": null, \"ignored\": 65536}"},
        {MAP, "", "{\"router\": 1, \"connected\": true, \"ignored\": 0}"},
        {MAP, "", "{\"router\": null, \"connected\": false, \"ignored\": 0}"},
        {MAP, "", "{\"router\": null, \"outer\": \"45.12.7.7\", \"ignored\": 0}"},
        {MAP, "", "{\"router\": \"x\", \"ignored\": 0}"},
        {MAP, "", "{\"router\": \"x\", \"connected\": 1, \"ignored\": 0}"},
        {MAP, "", "{\"router\": \"x\", \"connected\": true, \"ignored\": 0, \"more\": 1}"},
        {MAP, "",
         "{\"router\": \"x\", \"connected\": true, \"outer\": null, \"ignored\": 0}"},
        {MAP, "",
         "{\"router\": \"x\", \"connected\": true, \"outer\": \"a.example\", "
         "\"ignored\": 0}"},
        {MAP, "",
         "{\"router\": \"x\", \"connected\": true, \"outer\": \"::1\", "
         "\"ignored\": 0}"},
        {MAP, "",
         "{\"router\": \"x\", \"connected\": false, \"outer\": \"45.12.7.7\", "
         "\"ignored\": 0}"},
        {PINHOLE, "",
         "{\"router\": \"x\", \"connected\": true, \"outer\": \"45.12.7.7\", "
         "\"ignored\": 0}"},
        {MAP, ROUTER, "{\"router\": null, \"ignored\": 0}"},
        /* a port that was not asked for, or not now */
        {MAP, ROUTER, "{\"port\": 50800, \"result\": 0, \"lease\": 3600}"},
        {MAP, ROUTER, "{\"port\": 80, \"result\": 0, \"lease\": 3600}"},
        {MAP, ROUTER, "{\"port\": \"7466\", \"result\": 0, \"lease\": 3600}"},
        {MAP, ROUTER, "{\"port\": 73002, \"result\": 0, \"lease\": 3600}"},
        {MAP, ROUTER MAPPED(7466), "{\"port\": 7466, \"result\": 0, \"lease\": 3600}"},
        {MAP, ROUTER MAPPED(7466) MAPPED(50800),
         "{\"port\": 50800, \"result\": 0, \"lease\": 3600}"},
        {MAP, "{\"router\": null, \"ignored\": 0}\n",
         "{\"port\": 7466, \"result\": 0, \"lease\": 3600}"},
        /* what a port has */
        {MAP, ROUTER, "{\"port\": 7466}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": true}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": -1}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 65536}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 0}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 0, \"lease\": -1}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 0, \"lease\": 1.5}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 0, \"lease\": 4294967296}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 606, \"lease\": 3600}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": null, \"lease\": 3600}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 0, \"lease\": 1, \"pinhole\": 1}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 0, \"lease\": 1, \"more\": 1}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 0, \"lease\": 1, \"was_gone\": 1}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 606, \"is_foreign\": true}"},
        {MAP, ROUTER,
         "{\"port\": 7466, \"result\": 0, \"lease\": 1, \"holder\": \"192.168.50.3\"}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": null, \"holder\": \"192.168.50.3\"}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 718, \"holder\": \"::1\"}"},
        {MAP, ROUTER, "{\"port\": 7466, \"result\": 718, \"holder\": \"192.168.50.03\"}"},
        {REMOVE, ROUTER, "{\"port\": 7466, \"result\": 0, \"lease\": 1}"},
        {REMOVE, ROUTER, "{\"port\": 7466, \"result\": 0, \"was_gone\": true}"},
        {PINHOLE, ROUTER_6, "{\"port\": 7466, \"result\": 0, \"lease\": 1}"},
        {PINHOLE, ROUTER_6,
         "{\"port\": 7466, \"result\": 0, \"lease\": 1, \"pinhole\": 65536}"},
        {PINHOLE, ROUTER_6, "{\"port\": 7466, \"result\": 704, \"pinhole\": 1}"},
        {PINHOLE, ROUTER_6,
         "{\"port\": 7466, \"result\": 0, \"lease\": 1, \"pinhole\": 1, "
         "\"is_foreign\": true}"},
        /* the end */
        {MAP, ROUTER, "{\"end\": \"done\"}"},
        {MAP, ROUTER MAPPED(7466), "{\"end\": \"done\"}"},
        {MAP, ROUTER MAPPED(7466) MAPPED(50800), "{\"end\": \"no_router\"}"},
        {MAP, ROUTER MAPPED(7466) MAPPED(50800), "{\"end\": \"not_connected\"}"},
        {MAP, ROUTER MAPPED(7466) MAPPED(50800), "{\"end\": \"other\"}"},
        {MAP, ROUTER MAPPED(7466) MAPPED(50800), "{\"end\": 1}"},
        {MAP, ROUTER MAPPED(7466) MAPPED(50800), "{\"end\": \"done\", \"more\": 1}"},
        {MAP, ROUTER MAPPED(7466) MAPPED(50800) END, "{\"end\": \"done\"}"},
        {MAP, ROUTER MAPPED(7466) MAPPED(50800) END, ""},
        {MAP, "{\"router\": null, \"ignored\": 0}\n", "{\"end\": \"done\"}"},
        {MAP, "{\"router\": null, \"ignored\": 0}\n", "{\"end\": \"not_connected\"}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture fixture;
        fixture_init(&fixture);
        fixture.reply.is_ipv6 = rows[i].asked == PINHOLE;
        fixture.reply.is_removal = rows[i].asked == REMOVE;
        assert_true(add(&fixture, rows[i].before));
        size_t before = fixture.reply.answer_count;
        bool is_read = add(&fixture, rows[i].line) && add(&fixture, "\n");
        if (is_read)
            fail_msg("%s must be refused", rows[i].line);
        assert_int_equal(fixture.reply.answer_count, before);
    }
}

static void a_line_has_an_end(void **state)
{
    char line[UPNP_LINE_MAX];
    struct fixture fixture;
    (void)state;
    memset(line, ' ', sizeof line);
    fixture_init(&fixture);
    assert_true(upnp_reply_add(&fixture.reply, line, sizeof line, NULL));
    assert_false(add(&fixture, " "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_reply_is_read_in_any_pieces),
        cmocka_unit_test(ends_without_ports_say_why),
        cmocka_unit_test(members_say_what_became_of_a_port),
        cmocka_unit_test(a_router_without_a_connection_removes),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(a_line_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
