/* SPDX-License-Identifier: MIT */
#include "upnp/ssdp.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define OK           "HTTP/1.1 200 OK\r\n"
#define URL          "http://192.168.50.1:5000/desc.xml"
#define TEN          "0123456789"
#define SIXTY        TEN TEN TEN TEN TEN TEN
#define LONGEST      SIXTY SIXTY "0123456" /* 127 */

static void the_location_is_found(void **state)
{
    static const struct {
        const char *answer, *expected;
    } rows[] = {
        {OK "LOCATION: " URL "\r\n\r\n", URL},
        {OK "CACHE-CONTROL: max-age=120\r\nlocation:" URL "\r\nST: x\r\n\r\n", URL},
        {OK "Location: \t " URL " \t\r\n", URL},
        {OK "Location: " URL, URL}, /* cut off */
        {"HTTP/1.1 200 OK\nLocation: " URL "\n\n", URL},
        {OK "Location: " URL "\r\nLocation: http://other/\r\n", URL},
        {OK "Location: " LONGEST "\r\n", LONGEST},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char url[SSDP_URL_SIZE];
        assert_true(ssdp_location(rows[i].answer, strlen(rows[i].answer), url));
        assert_string_equal(url, rows[i].expected);
    }
}

static void other_datagrams_have_none(void **state)
{
    static const char *const answers[] = {
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 404 Not Found\r\nLocation: " URL "\r\n",
        "M-SEARCH * HTTP/1.1\r\nLocation: " URL "\r\n",
        "NOTIFY * HTTP/1.1\r\nLocation: " URL "\r\n",
        OK "ST: x\r\n\r\n",
        OK "X-Location: " URL "\r\n",
        OK "Location:",
        OK "Location: \t \r\n" URL "\r\n",
        OK "Location: " LONGEST "7\r\n",
    };
    static const char zero[] = OK "Location: http://192.168.50.1\0/\r\n";
    char url[SSDP_URL_SIZE];
    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++)
        if (ssdp_location(answers[i], strlen(answers[i]), url))
            fail_msg("%s must not have a location", answers[i]);
    assert_false(ssdp_location(zero, sizeof zero - 1, url));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_location_is_found),
        cmocka_unit_test(other_datagrams_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
