/* SPDX-License-Identifier: MIT
 *
 * In namespaces of its own (network_lab.h): the router's side is there, and sends to all on
 * the link.
 */
#include "router/announce.h"

#include "base/err.h"
#include "loop/loop.h"
#include "network_lab.h"

#include <net/if.h>

#define ZEROS_12 "\0\0\0\0\0\0\0\0\0\0\0\0"

static const uint8_t natpmp[12] = "\0\x80\0\0\0\0\0\7\x2d\x0c\7\1";
static const uint8_t natpmp_offline[12] = "\0\x80\0\3\0\0\0\7\0\0\0";
static const uint8_t pcp[24] = "\2\x80\0\0\0\0\0\0\0\0\0\x09" ZEROS_12;
static const uint8_t last[24] = "\2\x80\0\0\0\0\0\0\0\0\0\x63" ZEROS_12;

static bool has_lab;

static struct {
    struct loop *loop;
    struct announcements *announcements;
    struct timer timer;
    int count, wanted;
    enum router_protocol protocol;
    uint32_t epoch;
    char outer[ADDRESS_TEXT_SIZE];
} lab;

static void announced(void *ctx, enum router_protocol protocol, uint32_t epoch,
                      const struct address *outer)
{
    assert_ptr_equal(ctx, &lab);
    lab.count++;
    lab.protocol = protocol;
    lab.epoch = epoch;
    lab.outer[0] = '\0';
    if (outer)
        address_format(outer, lab.outer);
    if (lab.count == lab.wanted)
        loop_stop(lab.loop);
}

static void give_up(struct timer *timer)
{
    (void)timer;
    fail_msg("%d of %d announcements after 30 seconds", lab.count, lab.wanted);
}

static void send_from(int ns, const char *device, const char *from, uint16_t from_port,
                      const char *to, const uint8_t *bytes, size_t len)
{
    go(ns);
    struct address source = address_and_port(from, from_port),
                   group = address_and_port(to, ROUTER_ANNOUNCE_PORT);
    int fd = socket(group.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (group.sa.sa_family == AF_INET6)
        group.in6.sin6_scope_id = if_nametoindex(device);
    if (group.sa.sa_family == AF_INET) {
        struct ip_mreqn out = {.imr_ifindex = (int)if_nametoindex(device)};
        assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof out), 0);
    }
    assert_int_equal(bind(fd, &source.sa, source.len), 0);
    assert_int_equal(sendto(fd, bytes, len, 0, &group.sa, group.len), (ssize_t)len);
    close(fd);
    go(lab_here_ns);
}

static void send_there(const char *from, uint16_t from_port, const char *to,
                       const uint8_t *bytes, size_t len)
{
    send_from(lab_there_ns, "there", from, from_port, to, bytes, len);
}

static void listen_to(const char *text)
{
    struct err err = {0};
    struct address router = address_and_port(text, ROUTER_PORT);
    memset(&lab, 0, sizeof lab);
    assert_true(loop_new(&lab.loop, NULL));
    if (!announcements_new(lab.loop, &router, ROUTER_ANNOUNCE_PORT, announced, &lab,
                           &lab.announcements, &err))
        fail_msg("%s", err.message);
}

static void hear(int count)
{
    lab.wanted = count;
    timer_init(&lab.timer, give_up);
    assert_true(
        loop_timer_set(lab.loop, &lab.timer, instant_add(clock_now(), span_seconds(30))));
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(lab.count, count);
}

static void finish(void)
{
    lab.announcements = announcements_free(lab.announcements);
    lab.loop = loop_free(lab.loop);
}

static void an_announcement_is_heard(void **state)
{
    (void)state;
    if (!has_lab)
        skip();
    static const struct {
        const char *router, *group;
        const uint8_t *bytes;
        size_t len;
        enum router_protocol protocol;
        uint32_t epoch;
        const char *outer;
    } rows[] = {
        {THERE, "224.0.0.1", natpmp, sizeof natpmp, ROUTER_NATPMP, 7, "45.12.7.1"},
        {THERE, "224.0.0.1", natpmp_offline, sizeof natpmp_offline, ROUTER_NATPMP, 7, ""},
        {THERE, "224.0.0.1", pcp, sizeof pcp, ROUTER_PCP, 9, ""},
        {THERE, HERE, pcp, sizeof pcp, ROUTER_PCP, 9, ""},
        {THERE6, "ff02::1", pcp, sizeof pcp, ROUTER_PCP, 9, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        listen_to(rows[i].router);
        send_there(rows[i].router, ROUTER_PORT, rows[i].group, rows[i].bytes, rows[i].len);
        hear(1);
        finish();
        assert_int_equal(lab.protocol, rows[i].protocol);
        assert_int_equal(lab.epoch, rows[i].epoch);
        assert_string_equal(lab.outer, rows[i].outer);
    }
}

static void that_of_another_sender_or_form_is_not(void **state)
{
    (void)state;
    if (!has_lab)
        skip();
    /* What has been ignored came before what is heard. */
    listen_to(HERE);
    send_there(THERE, ROUTER_PORT, HERE, pcp, sizeof pcp);
    send_from(lab_here_ns, "here", HERE, ROUTER_PORT, HERE, last, sizeof last);
    hear(1);
    assert_int_equal(lab.epoch, 99);
    finish();

    listen_to(THERE);
    send_there(THERE, ROUTER_PORT + 1, "224.0.0.1", pcp, sizeof pcp);
    send_there(THERE, ROUTER_PORT, "224.0.0.1", pcp, sizeof pcp - 1);
    send_there(THERE, ROUTER_PORT, "224.0.0.1", natpmp, 8);
    send_there(THERE, ROUTER_PORT, "224.0.0.1", natpmp, 0);
    send_there(THERE, ROUTER_PORT, "224.0.0.1", last, sizeof last);
    hear(1);
    assert_int_equal(lab.epoch, 99);
    finish();
}

static void two_programs_can_listen(void **state)
{
    (void)state;
    if (!has_lab)
        skip();
    struct announcements *other;
    struct address router = address_and_port(THERE, ROUTER_PORT);
    listen_to(THERE);
    assert_true(announcements_new(lab.loop, &router, ROUTER_ANNOUNCE_PORT, announced, &lab,
                                  &other, NULL));
    send_there(THERE, ROUTER_PORT, "224.0.0.1", pcp, sizeof pcp);
    hear(2);
    announcements_free(other);
    finish();
}

static void a_port_that_is_taken_is_an_error(void **state)
{
    (void)state;
    if (!has_lab)
        skip();
    struct address router = address_and_port(THERE, ROUTER_PORT),
                   taken = address_and_port("0.0.0.0", ROUTER_ANNOUNCE_PORT);
    struct announcements *announcements;
    struct err err = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &taken.sa, taken.len), 0);
    struct loop *loop;
    assert_true(loop_new(&loop, NULL));
    assert_false(announcements_new(loop, &router, ROUTER_ANNOUNCE_PORT, announced, &lab,
                                   &announcements, &err));
    assert_int_equal(err.errnum, EADDRINUSE);
    loop_free(loop);
    close(fd);
}

int main(void)
{
    has_lab = lab_enter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_announcement_is_heard),
        cmocka_unit_test(that_of_another_sender_or_form_is_not),
        cmocka_unit_test(two_programs_can_listen),
        cmocka_unit_test(a_port_that_is_taken_is_an_error),
    };
    return cmocka_run_group_tests_name("announce", tests, NULL, NULL);
}
