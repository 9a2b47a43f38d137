/* SPDX-License-Identifier: MIT */
#include "api/check_form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JSON(ports) "{\"provider_ip\": \"192.0.2.7\"" ports "}"

static void forms_become_requests(void **state)
{
    (void)state;
    static const struct {
        const char *body, *json;
    } rows[] = {
        {"provider_ip=&ports=7466", JSON(", \"ports\": [7466]")},
        {"provider_ip=10.0.0.1&ports=1", "{\"provider_ip\": \"10.0.0.1\", \"ports\": [1]}"},
        {"ports=1&provider_ip=++2001%3aDB8%3A%3a1++",
         "{\"provider_ip\": \"2001:DB8::1\", \"ports\": [1]}"},
        {"ports=7466%2C+50800-50900", JSON(", \"ports\": [7466, \"50800-50900\"]")},
        {"ports=1%0D%0A2;3%2c%2c4", JSON(", \"ports\": [1, 2, 3, 4]")},
        {"ports=5+-+9", JSON(", \"ports\": [\"5-9\"]")},
        {"ports=5+%E2%80%93+9", JSON(", \"ports\": [\"5-9\"]")},
        {"ports=5-+9", JSON(", \"ports\": [\"5-9\"]")},
        {"ports=-+9", JSON(", \"ports\": [\"-\", 9]")},
        {"ports=-9", JSON(", \"ports\": [\"-9\"]")},
        {"ports=5-", JSON(", \"ports\": [\"5-\"]")},
        {"ports=007", JSON(", \"ports\": [7]")},
        {"ports=000", JSON(", \"ports\": [0]")},
        {"ports=99999999999999999999", JSON(", \"ports\": [\"99999999999999999999\"]")},
        {"ports=a%22b%5Cc%00d%C3%A4%7F", JSON(", \"ports\": [\"a\\\"b\\\\c\", \"d???\"]")},
        {"ports=1&ports=2", JSON(", \"ports\": [2]")},
        {"ports=%2&x=1", JSON(", \"ports\": [\"%2\"]")},
        {"ports=%zz", JSON(", \"ports\": [\"%zz\"]")},
        {"ports=", JSON("")},
        {"ports", JSON("")},
        {"", JSON("")},
        {"&&=&portsx=3", JSON("")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct check_form form;
        size_t len = 0;
        assert_true(check_form_parse(rows[i].body, strlen(rows[i].body), &form));
        char *json = check_form_json(&form, "192.0.2.7", &len);
        assert_string_equal(json, rows[i].json);
        assert_int_equal(strlen(json), len);
        free(json);
        check_form_done(&form);
    }
}

static void a_long_address_is_cut_off_and_stays_wrong(void **state)
{
    (void)state;
    char body[512] = "provider_ip=";
    struct check_form form;
    memset(body + strlen(body), 'a', 400);
    assert_true(check_form_parse(body, strlen(body), &form));
    assert_int_equal(strlen(form.address), CHECK_FORM_ADDRESS_SIZE - 1);
    check_form_done(&form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_become_requests),
        cmocka_unit_test(a_long_address_is_cut_off_and_stays_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
