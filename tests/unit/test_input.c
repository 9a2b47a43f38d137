/* SPDX-License-Identifier: MIT
 *
 * Requests read from a transport that gives what each test wants: the linker puts
 * __wrap_transport_read() in the place of transport_read().
 */
#include "http/input.h"
#include "http/transport.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define GET      "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST     "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
#define BODY_MAX 100

/* The client's bytes that have not been read yet. */
static struct {
    const char *bytes;
    size_t left;
    size_t piece; /* the most bytes that one read returns */
    unsigned reads;
} client;

ssize_t __wrap_transport_read(struct transport *transport, char *ret_bytes, size_t size);
ssize_t __wrap_transport_read(struct transport *transport, char *ret_bytes, size_t size)
{
    size_t n = client.left < client.piece ? client.left : client.piece;
    n = n < size ? n : size;
    client.reads++;
    if (n == 0 && transport->incoming != INCOMING_ENDED) {
        transport->incoming = INCOMING_NONE;
        errno = EAGAIN;
        return -1;
    }
    memcpy(ret_bytes, client.bytes, n);
    client.bytes += n;
    client.left -= n;
    return (ssize_t)n;
}

struct rig {
    struct transport transport;
    struct input input;
};

static void client_sends(struct rig *rig, const char *bytes, size_t len, size_t piece)
{
    client.bytes = bytes;
    client.left = len;
    client.piece = piece;
    client.reads = 0;
    rig->transport.incoming = INCOMING_SOME;
}

static enum request_progress read_on(struct rig *rig)
{
    enum request_progress progress;
    assert_true(input_read(&rig->input, &rig->transport, BODY_MAX, &progress));
    return progress;
}

static void assert_path(const struct rig *rig, const char *path)
{
    struct request_view view = input_view(&rig->input);
    assert_string_equal(view.bytes + view.request->path.at, path);
}

static int setup(void **state)
{
    static struct rig rig;
    rig = (struct rig){.transport = {.fd = -1}};
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    input_drop(&rig->input);
    return 0;
}

static void nothing_is_kept_while_nothing_has_come(void **state)
{
    struct rig *rig = *state;
    client_sends(rig, "", 0, 1);
    assert_int_equal(read_on(rig), REQUEST_MORE);
    assert_false(input_has_begun(&rig->input));
    input_shrink(&rig->input);
    assert_null(rig->input.buffer);
}

static void a_request_is_read_in_pieces_of_any_size(void **state)
{
    struct rig *rig = *state;
    static const char text[] = POST "hello";
    for (size_t piece = 1; piece < sizeof text; piece++) {
        client_sends(rig, text, sizeof text - 1, piece);
        unsigned turns = 1;
        while (read_on(rig) == REQUEST_MORE && turns++ < sizeof text)
            input_shrink(&rig->input);
        assert_path(rig, "/b");
        while (read_on(rig) == REQUEST_MORE && turns++ < sizeof text)
            input_shrink(&rig->input);
        struct request_view view = input_view(&rig->input);
        assert_memory_equal(view.bytes + view.request->body, "hello", 5);
        input_consume(&rig->input);
        assert_false(input_has_begun(&rig->input));
    }
}

static void a_request_behind_another_is_kept_for_its_turn(void **state)
{
    struct rig *rig = *state;
    static const char text[] = POST "hello" GET "GE";
    client_sends(rig, text, sizeof text - 1, sizeof text);
    assert_int_equal(read_on(rig), REQUEST_HEAD);
    assert_int_equal(read_on(rig), REQUEST_DONE);
    assert_path(rig, "/b");
    input_consume(&rig->input);
    input_shrink(&rig->input);
    assert_true(input_has_begun(&rig->input));
    assert_int_equal(read_on(rig), REQUEST_HEAD);
    assert_path(rig, "/a");
    assert_int_equal(read_on(rig), REQUEST_DONE);
    input_consume(&rig->input);
    assert_true(input_has_begun(&rig->input));
    assert_int_equal(read_on(rig), REQUEST_MORE);
}

static void a_connection_that_waits_keeps_only_what_has_come(void **state)
{
    struct rig *rig = *state;
    client_sends(rig, GET, 10, 10);
    assert_int_equal(read_on(rig), REQUEST_MORE);
    size_t before = malloc_usable_size(rig->input.buffer);
    input_shrink(&rig->input);
    size_t after = malloc_usable_size(rig->input.buffer);
    assert_true(before > 16 * 1024);
    assert_true(after < sizeof(struct request) + 256);

    client_sends(rig, &GET[10], sizeof GET - 11, sizeof GET);
    assert_int_equal(read_on(rig), REQUEST_HEAD);
    assert_path(rig, "/a");
}

static void one_turn_reads_only_so_often(void **state)
{
    struct rig *rig = *state;
    static char text[4096];
    memset(text, 'a', sizeof text);
    client_sends(rig, text, sizeof text, 1);
    assert_int_equal(read_on(rig), REQUEST_MORE);
    assert_int_equal(client.reads, 64);
    assert_int_equal(rig->transport.incoming, INCOMING_SOME);
    assert_int_equal(read_on(rig), REQUEST_MORE);
    assert_int_equal(client.reads, 128);
}

static void a_client_that_leaves_within_a_request_is_noticed(void **state)
{
    struct rig *rig = *state;
    enum request_progress progress;
    client_sends(rig, GET, 10, 10);
    rig->transport.incoming = INCOMING_ENDED;
    assert_false(input_read(&rig->input, &rig->transport, BODY_MAX, &progress));
}

static void a_request_that_came_before_the_end_is_read(void **state)
{
    struct rig *rig = *state;
    client_sends(rig, GET, sizeof GET - 1, sizeof GET);
    rig->transport.incoming = INCOMING_ENDED;
    assert_int_equal(read_on(rig), REQUEST_HEAD);
    assert_int_equal(read_on(rig), REQUEST_DONE);
}

static void reading_ahead_stops_at_a_usual_request(void **state)
{
    struct rig *rig = *state;
    static char text[64 * 1024];
    memset(text, 'a', sizeof text);
    client_sends(rig, text, sizeof text, sizeof text);
    assert_true(input_can_peek(&rig->input, &rig->transport));
    assert_true(input_peek(&rig->input, &rig->transport));
    assert_int_equal(sizeof text - client.left, 16 * 1024);
    assert_false(input_can_peek(&rig->input, &rig->transport));

    input_drop(&rig->input);
    client_sends(rig, text, 10, 10);
    assert_true(input_peek(&rig->input, &rig->transport));
    assert_int_equal(rig->transport.incoming, INCOMING_NONE);
    assert_false(input_can_peek(&rig->input, &rig->transport));

    client_sends(rig, "", 0, 1);
    rig->transport.incoming = INCOMING_ENDED;
    assert_true(input_peek(&rig->input, &rig->transport));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_kept_while_nothing_has_come),
        TEST(a_request_is_read_in_pieces_of_any_size),
        TEST(a_request_behind_another_is_kept_for_its_turn),
        TEST(a_connection_that_waits_keeps_only_what_has_come),
        TEST(one_turn_reads_only_so_often),
        TEST(a_client_that_leaves_within_a_request_is_noticed),
        TEST(a_request_that_came_before_the_end_is_read),
        TEST(reading_ahead_stops_at_a_usual_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
