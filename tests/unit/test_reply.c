/* SPDX-License-Identifier: MIT */
#include "verifier/reply.h"

#include "base/err.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const uint16_t ports[] = {80, 443};

/* The entry of port 80 in a reply that is otherwise fine. */
static bool entry_parse(const char *entry, struct remote_verdict ret[2], struct err *err)
{
    char body[1000];
    snprintf(body, sizeof body,
             "{\"success\": true, \"results\": {\"443\": {\"accessible\": true, \"error\": "
             "null},"
             " \"80\": %s}, \"message\": \"\"}",
             entry);
    struct reply_extras extras = {0};
    bool is_fine = reply_parse(body, strlen(body), false, ports, 2, ret, &extras, err);
    place_table_free(extras.places);
    return is_fine;
}

static void an_entry_says_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *entry;
        struct remote_verdict expected;
    } rows[] = {
        /* the plain contract */
        {"{\"accessible\": true, \"error\": null}", {.state = PORT_STATE_OPEN}},
        {"{\"accessible\": true}", {.state = PORT_STATE_OPEN}},
        {"{\"accessible\": false, \"error\": \"Connection refused\"}",
         {.state = PORT_STATE_CLOSED, .words = "Connection refused"}},
        {"{\"accessible\": false, \"error\": \"Connection timed out\"}",
         {.state = PORT_STATE_FILTERED, .words = "Connection timed out"}},
        {"{\"accessible\": false, \"error\": \"Resource temporarily unavailable\"}",
         {.state = PORT_STATE_FILTERED, .words = "Resource temporarily unavailable"}},
        {"{\"accessible\": false, \"error\": \"No route to host\"}",
         {.state = PORT_STATE_UNREACHABLE, .words = "No route to host"}},
        {"{\"accessible\": false, \"error\": null}", {.state = PORT_STATE_UNREACHABLE}},
        /* with details */
        {"{\"accessible\": false, \"error\": \"x\", \"state\": \"filtered\", \"rtt_ms\": "
         "null}",
         {.state = PORT_STATE_FILTERED, .words = "x"}},
        {"{\"accessible\": true, \"error\": null, \"state\": \"open\", \"rtt_ms\": 1.5, "
         "\"proof\": null}",
         {.state = PORT_STATE_OPEN, .has_rtt = true, .rtt_ms = 1.5}},
        {"{\"accessible\": true, \"error\": null, \"state\": \"open\", \"proof\": "
         "\"match\"}",
         {.state = PORT_STATE_OPEN, .proof = PROOF_MATCH}},
        {"{\"accessible\": true, \"error\": null, \"proof\": \"silent\"}",
         {.state = PORT_STATE_OPEN, .proof = PROOF_SILENT}},
        {"{\"accessible\": true, \"error\": null, \"proof\": \"reset\"}",
         {.state = PORT_STATE_OPEN, .proof = PROOF_RESET}},
        {"{\"accessible\": false, \"error\": \"x\", \"state\": \"unreachable\", "
         "\"icmp\": {\"type\": 3, \"code\": 10, \"meaning\": \"prohibited\\n\", "
         "\"from\": \"target\"}}",
         {.state = PORT_STATE_UNREACHABLE,
          .words = "x",
          .icmp = "prohibited?",
          .is_icmp_from_target = true}},
        {"{\"accessible\": false, \"error\": \"x\", \"state\": \"unreachable\", "
         "\"icmp\": {\"meaning\": \"host unreachable\", \"from\": \"path\"}}",
         {.state = PORT_STATE_UNREACHABLE, .words = "x", .icmp = "host unreachable"}},
        {"{\"accessible\": false, \"error\": \"x\", \"state\": \"unreachable\", "
         "\"icmp\": {\"from\": \"target\"}}",
         {.state = PORT_STATE_UNREACHABLE, .words = "x"}},
        {"{\"accessible\": false, \"error\": \"x\", \"state\": \"limited\", "
         "\"icmp\": null}",
         {.state = PORT_STATE_LIMITED, .words = "x"}},
        {"{\"accessible\": true, \"error\": null, \"proof\": \"other_port\", "
         "\"proof_port\": 7466}",
         {.state = PORT_STATE_OPEN, .proof = PROOF_OTHER_PORT, .proof_port = 7466}},
        /* words are kept off the terminal's controls */
        {"{\"accessible\": false, \"error\": \"\\u001b[31mrefused\\n\"}",
         {.state = PORT_STATE_CLOSED, .words = "?[31mrefused?"}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct remote_verdict verdicts[2];
        struct err err = {0};
        bool is_fine = entry_parse(rows[i].entry, verdicts, &err);
        if (!is_fine)
            print_error("%s: %s\n", rows[i].entry, err.message);
        assert_true(is_fine);
        assert_false(verdicts[0].is_unknown);
        assert_int_equal(verdicts[0].state, rows[i].expected.state);
        assert_int_equal(verdicts[0].proof, rows[i].expected.proof);
        assert_int_equal(verdicts[0].proof_port, rows[i].expected.proof_port);
        assert_int_equal(verdicts[0].has_rtt, rows[i].expected.has_rtt);
        assert_string_equal(verdicts[0].words, rows[i].expected.words);
        assert_string_equal(verdicts[0].icmp, rows[i].expected.icmp);
        assert_int_equal(verdicts[0].is_icmp_from_target,
                         rows[i].expected.is_icmp_from_target);
        assert_int_equal(verdicts[1].state, PORT_STATE_OPEN);
    }
}

static void what_contradicts_itself_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "null",
        "true",
        "{}",
        "{\"accessible\": 1}",
        "{\"accessible\": \"true\", \"error\": null}",
        "{\"accessible\": true, \"error\": 5}",
        "{\"accessible\": true, \"error\": null, \"state\": \"closed\"}",
        "{\"accessible\": false, \"error\": \"x\", \"state\": \"open\"}",
        "{\"accessible\": false, \"error\": \"x\", \"state\": 5}",
        "{\"accessible\": false, \"error\": \"x\", \"state\": null}",
        "{\"accessible\": false, \"error\": \"x\", \"state\": \"ajar\", \"proof\": 5}",
        "{\"accessible\": true, \"error\": null, \"proof\": true}",
        "{\"accessible\": true, \"error\": null, \"proof\": \"other_port\"}",
        ("{\"accessible\": true, \"error\": null, \"proof\": \"other_port\", "
         "\"proof_port\": 0}"),
        "{\"accessible\": false, \"error\": \"x\", \"proof\": \"match\"}",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct remote_verdict verdicts[2] = {{.rtt_ms = 77}};
        struct err err;
        if (entry_parse(rows[i], verdicts, &err))
            print_error("%s\n", rows[i]);
        assert_false(entry_parse(rows[i], verdicts, &err));
        assert_int_equal(err.kind, ERR_INVALID);
        assert_true(verdicts[0].rtt_ms == 77);
    }
}

/* A newer checker may have states and proofs that this version does not know. */
static void an_unknown_word_is_no_verdict_for_that_port_only(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"accessible\": false, \"error\": \"x\", \"state\": \"postponed\"}",
        "{\"accessible\": true, \"error\": null, \"state\": \"ajar\", \"rtt_ms\": 1}",
        "{\"accessible\": false, \"error\": \"x\", \"state\": \"\"}",
        "{\"accessible\": true, \"error\": null, \"proof\": \"maybe\"}",
        ("{\"accessible\": true, \"error\": null, \"state\": \"open\", \"proof\": "
         "\"maybe\", \"proof_port\": 9}"),
        ("{\"accessible\": false, \"error\": \"x\", \"state\": \"ajar\", \"proof\": "
         "\"match\"}"),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct remote_verdict verdicts[2];
        struct err err;
        assert_true(entry_parse(rows[i], verdicts, &err));
        assert_true(verdicts[0].is_unknown);
        assert_string_equal(verdicts[0].words, "");
        assert_int_equal(verdicts[0].proof, PROOF_NONE);
        assert_false(verdicts[1].is_unknown);
    }
}

#define GOOD "{\"accessible\": true, \"error\": null}"

static void a_reply_has_all_ports_or_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *complaint; /* NULL: fine */
    } rows[] = {
        {"{\"results\": {\"80\": " GOOD ", \"443\": " GOOD "}}", NULL},
        {"{\"results\": {\"80\": " GOOD ", \"443\": " GOOD ", \"1\": 0, \"x\": 0}}", NULL},
        {"{\"results\": {\"80\": " GOOD "}}", "no verdict for port 443"},
        {"{\"results\": {}}", "no verdict for 2 ports, including 80"},
        {"{\"success\": true}", "the JSON has no \"results\""},
        {"[]", "the JSON is not an object"},
        {"", "not JSON"},
        {"<html>", "not JSON"},
        {"{\"results\": {\"80\": " GOOD ", \"443\": " GOOD, "not JSON"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct remote_verdict verdicts[2];
        struct reply_extras extras;
        struct err err = {0};
        bool is_fine = reply_parse(rows[i].body, strlen(rows[i].body), false, ports, 2,
                                   verdicts, &extras, &err);
        assert_int_equal(is_fine, !rows[i].complaint);
        if (rows[i].complaint)
            assert_ptr_equal(strstr(err.message, rows[i].complaint), err.message);
    }
}

static void a_stream_ends_with_its_summary(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *complaint;
    } rows[] = {
        {"{\"port\": 443, \"accessible\": true}\n{\"port\": 80, \"accessible\": true}\n"
         "{\"success\": true, \"message\": \"\"}\n",
         NULL},
        {"{\"port\": 443, \"accessible\": true}\n\n{\"port\": 80, \"accessible\": true}\n"
         "{\"success\": true}",
         NULL},
        {"{\"port\": 443, \"accessible\": true}\n{\"port\": 80, \"accessible\": true}\n",
         "the stream ended early"},
        {"{\"port\": 443, \"accessible\": true}\n{\"success\": true}\n",
         "no verdict for port 80"},
        {"{\"port\": 443, \"accessible\": true}\n{\"detail\": \"too busy\", \"code\": "
         "\"x\"}\n",
         "too busy"},
        {"{\"port\": 443}\n", "the verdict for port 443 cannot be read"},
        {"{\"port\": 443, \"acc", "not JSON"},
        {"", "the stream ended early"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct remote_verdict verdicts[2];
        struct reply_extras extras;
        struct err err = {0};
        bool is_fine = reply_parse(rows[i].body, strlen(rows[i].body), true, ports, 2,
                                   verdicts, &extras, &err);
        if (is_fine != !rows[i].complaint)
            print_error("row %zu: %s\n", i, err.message);
        assert_int_equal(is_fine, !rows[i].complaint);
        if (rows[i].complaint)
            assert_ptr_equal(strstr(err.message, rows[i].complaint), err.message);
    }
}

static void a_limit_is_read(void **state)
{
    (void)state;
#define BOTH "\"results\": {\"80\": " GOOD ", \"443\": " GOOD "}"
    static const struct {
        const char *body;
        bool is_there;
        size_t answered;
        double rate;
    } rows[] = {
        {"{" BOTH "}", false, 0, 0},
        {"{" BOTH ", \"limit\": null}", false, 0, 0},
        {"{" BOTH ", \"limit\": {\"answered\": 20, \"rate\": 9.4}}", true, 20, 9.4},
        {"{" BOTH ", \"limit\": {\"answered\": 0, \"rate\": 0}}", true, 0, 0},
        {"{" BOTH ", \"limit\": {\"answered\": -3, \"rate\": \"x\"}}", true, 0, 0},
    };
    struct remote_verdict verdicts[2];
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct reply_extras extras;
        assert_true(reply_parse(rows[i].body, strlen(rows[i].body), false, ports, 2,
                                verdicts, &extras, NULL));
        assert_int_equal(extras.limit.is_there, rows[i].is_there);
        assert_int_equal(extras.limit.answered, rows[i].answered);
        assert_true(extras.limit.rate == rows[i].rate);
    }
    static const char stream[] =
        "{\"port\": 443, \"accessible\": true}\n{\"port\": 80, \"accessible\": true}\n"
        "{\"success\": true, \"limit\": {\"answered\": 7, \"rate\": 0.0}}\n";
    struct reply_extras extras;
    assert_true(
        reply_parse(stream, strlen(stream), true, ports, 2, verdicts, &extras, NULL));
    assert_true(extras.limit.is_there);
    assert_int_equal(extras.limit.answered, 7);
}

#define CLOSED_AT(vantages)                                                                \
    "{\"accessible\": false, \"error\": \"Connection refused\", \"state\": \"closed\", "   \
    "\"vantages\": " vantages "}"

/* The table as text: "eu-1 open 12.3 match; us-1 missing: no_answer". */
static void places_put(const struct place_table *places, size_t port, char ret[400])
{
    static const char *const kinds[] = {"", "", "missing", "unknown"};
    size_t len = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < place_table_count(places); i++) {
        struct place_view view = place_table_get(places, port, i);
        const char *proof = proof_text(view.proof);
        if (view.kind == PLACE_ABSENT)
            continue;
        len += (size_t)snprintf(ret + len, 400 - len, "%s%s %s", len > 0 ? "; " : "",
                                place_table_name(places, i),
                                view.kind == PLACE_JUDGED ? port_state_text(view.state)
                                                          : kinds[view.kind]);
        if (view.has_rtt)
            len += (size_t)snprintf(ret + len, 400 - len, " %g", view.rtt_ms);
        if (proof)
            len += (size_t)snprintf(ret + len, 400 - len, " %s", proof);
        if (view.proof_port > 0)
            len += (size_t)snprintf(ret + len, 400 - len, " %u", view.proof_port);
        if (view.words[0])
            len += (size_t)snprintf(ret + len, 400 - len, ": %s", view.words);
    }
}

static void each_place_says_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *vantages, *expected;
    } rows[] = {
        {"null", ""},
        {"{}", ""},
        {"{\"eu-1\": {\"state\": \"open\", \"rtt_ms\": 12.3, \"proof\": \"match\"}, "
         "\"us-1\": {\"state\": \"missing\", \"reason\": \"no_answer\"}}",
         "eu-1 open 12.3 match; us-1 missing: no_answer"},
        {"{\"b\": {\"state\": \"closed\", \"error\": \"Connection refused\", \"rtt_ms\": "
         "null, \"proof\": null}, \"a\": {\"state\": \"limited\"}}",
         "b closed: Connection refused; a limited"},
        {"{\"a\": {\"state\": \"open\", \"error\": null, \"proof\": \"other_port\"}, "
         "\"b\": {\"state\": \"open\", \"proof\": \"other_port\", \"proof_port\": 9}}",
         "a open other_port; b open other_port 9"},
        {"{\"a\": {\"state\": \"missing\"}, \"b\": {\"state\": \"missing\", \"reason\": "
         "\"refused: budget\\n\", \"since\": 5}}",
         "a missing; b missing: refused: budget?"},
        /* words of a newer version */
        {"{\"a\": {\"state\": \"postponed\", \"rtt_ms\": 5, \"proof\": 7}}",
         "a unknown: postponed"},
        {"{\"a\": {\"state\": \"open\", \"proof\": \"maybe\"}}", "a unknown: open"},
        {"{\"a\": {\"state\": \"open\", \"rtt_ms\": -1, \"colour\": []}}", "a open"},
        /* seventeen are one too many */
        {"{\"0\": {\"state\": \"open\"}, \"1\": {\"state\": \"open\"}, \"2\": {\"state\": "
         "\"open\"}, \"3\": {\"state\": \"open\"}, \"4\": {\"state\": \"open\"}, \"5\": "
         "{\"state\": \"open\"}, \"6\": {\"state\": \"open\"}, \"7\": {\"state\": "
         "\"open\"}, \"8\": {\"state\": \"open\"}, \"9\": {\"state\": \"open\"}, \"a\": "
         "{\"state\": \"open\"}, \"b\": {\"state\": \"open\"}, \"c\": {\"state\": "
         "\"open\"}, \"d\": {\"state\": \"open\"}, \"e\": {\"state\": \"open\"}, \"f\": "
         "{\"state\": \"open\"}, \"g\": {\"state\": \"open\"}}",
         ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char body[2000];
        char said[400];
        struct remote_verdict verdicts[2];
        struct reply_extras extras;
        struct err err = {0};
        snprintf(body, sizeof body,
                 "{\"results\": {\"80\": {\"accessible\": true}, \"443\": {\"accessible\": "
                 "true, \"vantages\": %s}}}",
                 rows[i].vantages);
        if (!reply_parse(body, strlen(body), false, ports, 2, verdicts, &extras, &err))
            fail_msg("row %zu: %s", i, err.message);
        places_put(extras.places, 1, said);
        assert_string_equal(said, rows[i].expected);
        places_put(extras.places, 0, said);
        assert_string_equal(said, "");
        place_table_free(extras.places);
    }
}

static void a_place_that_contradicts_itself_spoils_the_reply(void **state)
{
    (void)state;
    static const char *const rows[] = {
        CLOSED_AT("[]"),
        CLOSED_AT("true"),
        CLOSED_AT("{\"a\": null}"),
        CLOSED_AT("{\"a\": {}}"),
        CLOSED_AT("{\"a\": {\"state\": null}}"),
        CLOSED_AT("{\"a\": {\"state\": \"open\", \"error\": \"Connection refused\"}}"),
        CLOSED_AT("{\"a\": {\"state\": \"closed\", \"error\": 5}}"),
        CLOSED_AT("{\"a\": {\"state\": \"closed\", \"proof\": \"match\"}}"),
        CLOSED_AT("{\"a\": {\"state\": \"open\", \"proof\": true}}"),
        CLOSED_AT("{\"a\": {\"state\": \"missing\", \"reason\": 5}}"),
        CLOSED_AT("{\"\": {\"state\": \"closed\"}}"),
        CLOSED_AT("{\"EU-1\": {\"state\": \"closed\"}}"),
        CLOSED_AT("{\"\\u001b\": {\"state\": \"closed\"}}"),
        CLOSED_AT("{\"a-name-of-just-32-characters-xxxx\": {\"state\": \"closed\"}}"),
        CLOSED_AT("{\"a\": {\"state\": \"closed\"}, \"b\": {\"state\": 1}}"),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct remote_verdict verdicts[2];
        struct err err;
        if (entry_parse(rows[i], verdicts, &err))
            fail_msg("%s", rows[i]);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_string_equal(err.message, "the verdict for port 80 cannot be read");
    }
    struct remote_verdict verdicts[2];
    struct err err;
    assert_true(entry_parse(CLOSED_AT("{\"a-name-of-just-32-characters-xxx\": "
                                      "{\"state\": \"closed\"}}"),
                            verdicts, &err));
}

static void missing_places_leave_a_port_undecided(void **state)
{
    (void)state;
    static const struct {
        const char *state, *vantages;
        bool is_undecided;
    } rows[] = {
        {"limited", "{\"a\": {\"state\": \"open\"}, \"b\": {\"state\": \"missing\"}}",
         true},
        {"limited", "{\"a\": {\"state\": \"limited\"}, \"b\": {\"state\": \"missing\"}}",
         false},
        {"limited", "{\"a\": {\"state\": \"limited\"}}", false},
        {"limited", "null", false},
        {"closed", "{\"a\": {\"state\": \"closed\"}, \"b\": {\"state\": \"missing\"}}",
         false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char entry[400];
        struct remote_verdict verdicts[2];
        struct err err = {0};
        snprintf(entry, sizeof entry,
                 "{\"accessible\": false, \"error\": \"x\", \"state\": \"%s\", "
                 "\"vantages\": %s}",
                 rows[i].state, rows[i].vantages);
        assert_true(entry_parse(entry, verdicts, &err));
        assert_int_equal(verdicts[0].is_undecided, rows[i].is_undecided);
    }
}

static void the_quorum_of_places_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t needed, places;
    } rows[] = {
        {"{" BOTH "}", 0, 0},
        {"{" BOTH ", \"quorum\": {\"needed\": 2, \"places\": 3}}", 2, 3},
        {"{" BOTH ", \"quorum\": {\"needed\": 16, \"places\": 16}}", 16, 16},
        {"{" BOTH ", \"quorum\": {\"needed\": 4, \"places\": 3}}", 0, 0},
        {"{" BOTH ", \"quorum\": {\"needed\": 0, \"places\": 3}}", 0, 0},
        {"{" BOTH ", \"quorum\": {\"needed\": 2, \"places\": 17}}", 0, 0},
        {"{" BOTH ", \"quorum\": [2, 3]}", 0, 0},
    };
    struct remote_verdict verdicts[2];
    struct reply_extras extras;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(reply_parse(rows[i].body, strlen(rows[i].body), false, ports, 2,
                                verdicts, &extras, NULL));
        assert_int_equal(extras.quorum.needed, rows[i].needed);
        assert_int_equal(extras.quorum.places, rows[i].places);
    }
    static const char stream[] =
        "{\"port\": 443, \"accessible\": true, \"vantages\": {\"a\": {\"state\": "
        "\"open\"}}}\n{\"port\": 80, \"accessible\": true, \"vantages\": {\"b\": "
        "{\"state\": "
        "\"open\"}}}\n{\"success\": true, \"quorum\": {\"needed\": 1, \"places\": 2}}\n";
    char said[400];
    assert_true(
        reply_parse(stream, strlen(stream), true, ports, 2, verdicts, &extras, NULL));
    assert_int_equal(extras.quorum.places, 2);
    places_put(extras.places, 0, said);
    assert_string_equal(said, "b open");
    places_put(extras.places, 1, said);
    assert_string_equal(said, "a open");
    place_table_free(extras.places);
}

static void how_many_ports_a_checker_takes_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t most;
    } rows[] = {
        {"{\"targets\": \"own\", \"max_ports\": 1024}", 1024},
        {"{\"max_ports\": 0}", 0},
        {"{\"max_ports\": 70000}", 0},
        {"{\"max_ports\": \"1024\"}", 0},
        {"{}", 0},
        {"<html>", 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(reply_parse_max_ports(rows[i].body, strlen(rows[i].body)),
                         rows[i].most);
}

static void an_address_is_read_and_unmapped(void **state)
{
    (void)state;
    static const struct {
        const char *body, *ip;
    } rows[] = {
        {"{\"ip\": \"203.0.113.7\", \"family\": 4}", "203.0.113.7"},
        {"{\"ip\": \"2001:db8::1\"}", "2001:db8::1"},
        {"{\"ip\": \"::ffff:203.0.113.7\"}", "203.0.113.7"},
        {"{\"ip\": \"router.example\"}", NULL},
        {"{\"ip\": 5}", NULL},
        {"{}", NULL},
        {"203.0.113.7", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address;
        char ip[ADDRESS_TEXT_SIZE];
        bool is_fine = reply_parse_ip(rows[i].body, strlen(rows[i].body), &address, NULL);
        assert_int_equal(is_fine, rows[i].ip != NULL);
        if (is_fine)
            assert_string_equal(address_format(&address, ip), rows[i].ip);
    }
}

static void the_detail_of_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *body, *detail;
    } rows[] = {
        {"{\"detail\": \"too many ports\"}", "too many ports"},
        {"{\"detail\": [{\"loc\": [], \"msg\": \"field required\"}, {}]}",
         "field required"},
        {"{\"detail\": []}", ""},
        {"{\"detail\": {\"a\": 1}}", ""},
        {"<h1>502 Bad Gateway</h1>", ""},
        {"{\"detail\": \"\\u001b]0;x\\u0007\"}", "?]0;x?"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char detail[REPLY_SENTENCE_SIZE];
        assert_string_equal(reply_read_detail(rows[i].body, strlen(rows[i].body), detail),
                            rows[i].detail);
    }
}

static void words_that_are_too_long_show_their_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text, *copy;
    } rows[] = {
        {"", ""},
        {"1234567", "1234567"},
        {"12345678", "1234..."},
        {"\t\xc3\xa4 and more", "??? ..."},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char copy[8];
        reply_copy_printable(rows[i].text, copy, sizeof copy);
        assert_string_equal(copy, rows[i].copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_says_what_it_says),
        cmocka_unit_test(what_contradicts_itself_is_refused),
        cmocka_unit_test(an_unknown_word_is_no_verdict_for_that_port_only),
        cmocka_unit_test(a_reply_has_all_ports_or_is_none),
        cmocka_unit_test(a_stream_ends_with_its_summary),
        cmocka_unit_test(a_limit_is_read),
        cmocka_unit_test(each_place_says_what_it_says),
        cmocka_unit_test(a_place_that_contradicts_itself_spoils_the_reply),
        cmocka_unit_test(missing_places_leave_a_port_undecided),
        cmocka_unit_test(the_quorum_of_places_is_read),
        cmocka_unit_test(how_many_ports_a_checker_takes_is_read),
        cmocka_unit_test(an_address_is_read_and_unmapped),
        cmocka_unit_test(the_detail_of_an_error),
        cmocka_unit_test(words_that_are_too_long_show_their_cut),
    };
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
