/* SPDX-License-Identifier: MIT
 *
 * The page without JavaScript: what it says about places.
 */
#include "api/check_page.h"

#include "addresses.h"

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

#define OPEN         {.state = PORT_STATE_OPEN, .has_rtt = true, .rtt = {12340000}}
#define CLOSED       {.state = PORT_STATE_CLOSED, .errnum = ECONNREFUSED}
#define UNJUDGED     {.state = PORT_STATE_LIMITED, .errnum = ETIMEDOUT}

static const struct port_verdict open_verdict = OPEN;
static const struct port_verdict closed_verdict = CLOSED;
static const struct port_verdict limited_verdict = UNJUDGED;

#define UP      .verdict = OPEN
#define DOWN    .verdict = CLOSED
#define LIMITED .verdict = UNJUDGED
#define GONE    .reason = "no_answer"
#define REFUSED .reason = "budget", .is_refusal = true

struct row {
    const struct port_verdict *verdict;
    size_t count;
    struct gather_view views[3];
};

/* The page about ports 40 on. */
static char *page_of(const struct row *rows, size_t count)
{
    const struct address target = address_of("203.0.113.7");
    struct check_summary summary = {.places = {.places = 3, .answered = 3, .needed = 2}};
    struct check_page page;
    for (size_t i = 0; i < count; i++)
        check_summary_add(&summary, rows[i].verdict);
    check_page_begin(&page, &summary, &target);
    for (size_t i = 0; i < count; i++) {
        struct port_verdict verdict = *rows[i].verdict;
        struct check_places places = {.count = rows[i].count};
        memcpy(places.views, rows[i].views, sizeof rows[i].views);
        verdict.port = (uint16_t)(40 + i);
        check_page_add(&page, &verdict, rows[i].count > 0 ? &places : NULL);
    }
    char *html = check_page_end(&page);
    assert_non_null(html);
    return html;
}

static void assert_says(const char *html, const char *text)
{
    if (!strstr(html, text))
        fail_msg("no %s in:\n%s", text, html);
}

static size_t count_of(const char *html, const char *text)
{
    size_t count = 0;
    for (const char *at = html; (at = strstr(at, text)); at++)
        count++;
    return count;
}

static void each_row_has_its_places(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {&open_verdict,
         3,
         {{.place = "eu-1", UP}, {.place = "us-1", UP}, {.place = "ap-1", UP}}},
        {&open_verdict,
         3,
         {{.place = "eu-1", UP}, {.place = "us-1", UP}, {.place = "ap-1", UP}}},
        {&open_verdict,
         3,
         {{.place = "eu-1", UP}, {.place = "us-1", GONE}, {.place = "ap-1", UP}}},
    };
    char *html = page_of(rows, COUNT(rows));
    assert_says(html, "<tr><td>40&ndash;41</td>");
    assert_says(html, "answered<span class=\"dots\" aria-hidden=\"true\">"
                      "<i data-state=\"open\"></i><i data-state=\"open\"></i>"
                      "<i data-state=\"open\"></i></span><span class=\"hint\">"
                      "eu-1 open, us-1 open, ap-1 open</span></td></tr>");
    assert_says(html, "<i data-state=\"missing\"></i>");
    assert_says(html, "eu-1 open 12 ms, us-1 missing (no answer), ap-1 open 12 ms");
    assert_null(strstr(html, "mixed"));
    free(html);
}

static void places_that_differ_are_one_line(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {&open_verdict,
         3,
         {{.place = "eu-1", UP}, {.place = "us-1", DOWN}, {.place = "ap-1", UP}}},
        {&closed_verdict,
         3,
         {{.place = "eu-1", DOWN}, {.place = "us-1", DOWN}, {.place = "ap-1", UP}}},
        {&open_verdict,
         3,
         {{.place = "eu-1", UP}, {.place = "us-1", DOWN}, {.place = "ap-1", UP}}},
        {&closed_verdict,
         3,
         {{.place = "eu-1", DOWN}, {.place = "us-1", DOWN}, {.place = "ap-1", DOWN}}},
    };
    char *html = page_of(rows, COUNT(rows));
    assert_int_equal(count_of(html, ">mixed <span"), 2);
    assert_says(html,
                "<p class=\"runs\">40, 42</p><p>Reachable from eu-1 and ap-1, but not from "
                "us-1: a geographic filter or a routing problem.</p>");
    assert_says(html, "<p class=\"runs\">41</p><p>Reachable from ap-1, but not from eu-1 "
                      "and us-1: a geographic filter or a routing problem.</p>");
    /* the advice on closed ports is about the last one only */
    assert_says(html, "closed <span class=\"count\">1</span>");
    assert_says(html, "open <span class=\"count\">2</span>");
    free(html);
}

static void missing_places_are_not_a_limit(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {&limited_verdict,
         3,
         {{.place = "eu-1", UP}, {.place = "us-1", GONE}, {.place = "ap-1", REFUSED}}},
        {&limited_verdict,
         3,
         {{.place = "eu-1", LIMITED}, {.place = "us-1", GONE}, {.place = "ap-1", UP}}},
    };
    char *html = page_of(rows, COUNT(rows));
    assert_says(html, "us-1 missing (no answer), ap-1 missing (refused: budget)");
    assert_says(html, "places missing <span class=\"count\">1</span>");
    assert_says(html, "too few others reached this port, so there is no verdict.");
    assert_says(html, "limited <span class=\"count\">1</span>");
    free(html);
}

static void without_places_it_is_as_before(void **state)
{
    (void)state;
    static const struct row rows[] = {{&open_verdict, 0, {{0}}}, {&open_verdict, 0, {{0}}}};
    char *html = page_of(rows, COUNT(rows));
    assert_says(html,
                "<tr><td>40&ndash;41</td><td><span class=\"glyph\" data-state=\"open\">"
                "</span>open</td><td>answered</td></tr>");
    assert_null(strstr(html, "dots"));
    free(html);
}

/* The page stays within its bounds, however the places differ. */
static void many_places_fit(void **state)
{
    (void)state;
    enum { PORTS = 1024 };
    static const char *const names[] = {"a-name-of-just-32-characters-000",
                                        "b",
                                        "c",
                                        "d",
                                        "e",
                                        "f",
                                        "g",
                                        "h",
                                        "i",
                                        "j",
                                        "k",
                                        "l",
                                        "m",
                                        "n",
                                        "o",
                                        "p"};
    const struct address target = address_of("203.0.113.7");
    struct check_summary summary = {.places = {.places = 16}};
    struct check_page page;
    for (size_t i = 0; i < PORTS; i++)
        check_summary_add(&summary, &open_verdict);
    check_page_begin(&page, &summary, &target);
    for (size_t i = 0; i < PORTS; i++) {
        struct check_places places = {.count = PLACES_MAX};
        struct port_verdict verdict = open_verdict;
        verdict.port = (uint16_t)(1 + 2 * i);
        for (size_t j = 0; j < PLACES_MAX; j++)
            places.views[j] = (struct gather_view){
                .place = names[j], .verdict = (i >> j) & 1 ? closed_verdict : open_verdict};
        check_page_add(&page, &verdict, &places);
    }
    char *html = check_page_end(&page);
    assert_non_null(html);
    assert_int_equal(count_of(html, ">mixed <span"), PAGE_MIXES_MAX);
    free(html);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_has_its_places),
        cmocka_unit_test(places_that_differ_are_one_line),
        cmocka_unit_test(missing_places_are_not_a_limit),
        cmocka_unit_test(without_places_it_is_as_before),
        cmocka_unit_test(many_places_fit),
    };
    return cmocka_run_group_tests_name("check_page", tests, NULL, NULL);
}
