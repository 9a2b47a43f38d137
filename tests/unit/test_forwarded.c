/* SPDX-License-Identifier: MIT */
#include "policy/forwarded.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct row {
    const char *list;
    const char *caller; /* NULL: cannot be read */
};

typedef bool(parse_fn)(const char *list, const struct cidr_list *trusted,
                       struct address *ret);

static void assert_rows(parse_fn *parse, const struct row *rows, size_t count)
{
    static const char *const blocks[] = {"10.0.0.0/8", "fd00::/8"};
    struct cidr_list trusted = {.count = COUNT(blocks)};
    for (size_t i = 0; i < COUNT(blocks); i++)
        assert_true(cidr_parse(blocks[i], strlen(blocks[i]), &trusted.items[i], NULL));

    for (size_t i = 0; i < count; i++) {
        struct address address;
        char text[ADDRESS_TEXT_SIZE];
        bool is_read = parse(rows[i].list, &trusted, &address);
        if (is_read != (rows[i].caller != NULL))
            fail_msg("%s: read must be %d", rows[i].list, rows[i].caller != NULL);
        if (is_read && strcmp(address_format(&address, text), rows[i].caller) != 0)
            fail_msg("%s: got %s, expected %s", rows[i].list, text, rows[i].caller);
        if (is_read)
            assert_int_equal(address_port(&address), 0);
    }
}

/* clang-format off */
static void an_address_may_have_a_port_and_brackets(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"203.0.113.9", "203.0.113.9"},
        {"203.0.113.9:51234", "203.0.113.9"},
        {"203.0.113.9:0", "203.0.113.9"},
        {"203.0.113.9:65535, 10.0.0.1:80", "203.0.113.9"},
        {"2001:db8::9", "2001:db8::9"},
        {"[2001:db8::9]", "2001:db8::9"},
        {"[2001:db8::9]:51234", "2001:db8::9"},
        {"[2001:db8::9]:51234,[fd00::1]:80 , 10.0.0.1", "2001:db8::9"},
        {"[::ffff:203.0.113.9]:1", "203.0.113.9"},
        {"203.0.113.9:_hidden", "203.0.113.9"},
        {"nonsense, 203.0.113.9:1", "203.0.113.9"},

        {"203.0.113.9:", NULL},
        {"203.0.113.9:65536", NULL},
        {"203.0.113.9:123456", NULL},
        {"203.0.113.9:-1", NULL},
        {"203.0.113.9: 80", NULL},
        {"203.0.113.9:80:80", NULL},
        {"203.0.113.9:http", NULL},
        {"203.0.113.9 :80", NULL},
        {"[203.0.113.9]", NULL},
        {"[203.0.113.9]:80", NULL},
        {"[2001:db8::9", NULL},
        {"2001:db8::9]", NULL},
        {"[2001:db8::9]80", NULL},
        {"[2001:db8::9]:", NULL},
        {"[[2001:db8::9]]", NULL},
        {"[]", NULL},
        {"[]:80", NULL},
        {":80", NULL},
        {"[fe80::1%eth0]:80", NULL},
        {"localhost:80", NULL},
        {"_hidden", NULL},
        {"unknown", NULL},
        {"\"203.0.113.9:80\"", NULL},
        {"203.0.113.9:80, unknown, 10.0.0.1", NULL},
    };
    assert_rows(forwarded_for_parse, rows, COUNT(rows));
}

static void forwarded_is_read_as_rfc_7239_writes_it(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"for=192.0.2.60", "192.0.2.60"},
        {"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"},
        {"proto=http;For=\"192.0.2.60\"", "192.0.2.60"},
        {"FOR=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"},
        {"for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17"},
        {"for=\"192.0.2.43:47011\"", "192.0.2.43"},
        {"for=\"192.0.2.43:_port\"", "192.0.2.43"},
        {"for=\"\\1\\92.0.2.43\"", "192.0.2.43"},
        {"for=192.0.2.43;host=\"a\\\"b,c;for=1.1.1.1\"", "192.0.2.43"},

        /* from the right, past trusted proxies */
        {"for=192.0.2.43, for=198.51.100.17", "198.51.100.17"},
        {"for=192.0.2.43,for=198.51.100.17;by=10.0.0.1 , for=10.0.0.2", "198.51.100.17"},
        {"for=10.0.0.3, for=10.0.0.2", "10.0.0.3"},
        {"for=unknown, for=192.0.2.43", "192.0.2.43"},
        {"for=_hidden;proto=https, for=192.0.2.43, for=\"[fd00::1]\"", "192.0.2.43"},

        /* as some write it */
        {"for=192.0.2.43:80", "192.0.2.43"},
        {"for=[2001:db8::1]:80", "2001:db8::1"},
        {"\t for=192.0.2.43 ; proto=https ;", "192.0.2.43"},
        {";;for=192.0.2.43;;proto=http;", "192.0.2.43"},

        /* hidden */
        {"for=unknown", NULL},
        {"for=_gazonk", NULL},
        {"for=\"_SEVKISEK:80\"", NULL},
        {"proto=https", NULL},
        {"by=192.0.2.43", NULL},
        {"192.0.2.43", NULL},
        {"for=192.0.2.43, proto=https", NULL},
        {"for=192.0.2.43, for=unknown, for=10.0.0.2", NULL},
        {"for=192.0.2.43, by=10.0.0.2", NULL},
        {"for=192.0.2.43;for=192.0.2.44", NULL},
        {"for=192.0.2.43;for=192.0.2.43", NULL},
        {"for=\"192.0.2.43, 192.0.2.44\"", NULL},
        {"for=\" 192.0.2.43\"", NULL},
        {"for=localhost", NULL},
        {"for=\"[fe80::1%25eth0]\"", NULL},
        {"for=\"[2001:db8:cafe:1111:2222:3333:4444:5555]:"
         "_0123456789012345678901234567890123456789\"", NULL},

        /* no Forwarded */
        {"", NULL},
        {" ", NULL},
        {",", NULL},
        {"for", NULL},
        {"for=", NULL},
        {"for=;proto=http", NULL},
        {"for=\"\"", NULL},
        {"for =192.0.2.43", NULL},
        {"for= 192.0.2.43", NULL},
        {"=192.0.2.43", NULL},
        {"for=192.0.2.43,", NULL},
        {"for=192.0.2.43,,for=10.0.0.2", NULL},
        {"for=192.0.2.43 for=10.0.0.2", NULL},
        {"for=\"192.0.2.43", NULL},
        {"for=\"192.0.2.43\\", NULL},
        {"for=\"192.0.2.43\"x", NULL},
        {"for=192.0.2.43\"", NULL},
        {"for=192.0.2.43;proto", NULL},
    };
    assert_rows(forwarded_parse, rows, COUNT(rows));
}

/* A quote that a client left open swallows what the proxy appends. */
static void text_of_a_client_never_hides_what_its_proxy_appends(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"for=192.0.2.6;x=\", for=198.51.100.7", NULL},
        {"for=192.0.2.6;x=\", for=\"198.51.100.7\"", NULL},
        {"for=192.0.2.6;x=\"\\, for=\"[2001:db8::7]:80\"", NULL},
        {"for=192.0.2.6;x=\", for=\"198.51.100.7\";by=\"10.0.0.1\"", NULL},
        {"\", for=198.51.100.7", NULL},
        {"for=192.0.2.6;x=\"\", for=198.51.100.7", "198.51.100.7"},
    };
    assert_rows(forwarded_parse, rows, COUNT(rows));
}
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_may_have_a_port_and_brackets),
        cmocka_unit_test(forwarded_is_read_as_rfc_7239_writes_it),
        cmocka_unit_test(text_of_a_client_never_hides_what_its_proxy_appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
