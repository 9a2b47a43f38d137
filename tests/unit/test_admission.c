/* SPDX-License-Identifier: MIT */
#include "policy/admission.h"

#include "addresses.h"
#include "base/err.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { NO_LIMIT = 1 << 20, NO_FD = -1 };

static struct admission *admission_of(size_t connections, size_t per_caller,
                                      size_t per_network)
{
    const struct admission_limits limits = {connections, per_caller, per_network};
    struct admission *admission;
    assert_true(admission_new(&limits, &admission, NULL));
    return admission;
}

static struct instant at(int64_t seconds)
{
    return (struct instant){seconds * NS_PER_SECOND};
}

/* Comes at second 0. */
static enum admission_answer enter(struct admission *admission, const char *peer,
                                   uint32_t *ret_place)
{
    struct address address = address_of(peer);
    return admission_enter(admission, &address, false, NO_FD, at(0), ret_place);
}

/* One step: which caller enters, and the expected answer, or the step at which the one that
 * leaves entered. What enters is busy at once, so that nothing gives way. */
struct step {
    char move; /* + enters, - leaves, u enters without a caller limit */
    const char *peer;
    unsigned entered;
    enum admission_answer answer;
};

static void the_limits_hold(void **state)
{
    (void)state;
    /* 5 in all, 2 per caller */
    static const struct step steps[] = {
        {'+', "192.0.2.1", 0, ADMISSION_GRANTED}, /* step 0 */
        {'+', "192.0.2.1", 0, ADMISSION_GRANTED},
        {'+', "192.0.2.1", 0, ADMISSION_CALLER_FULL},
        {'+', "::ffff:192.0.2.1", 0, ADMISSION_CALLER_FULL},   /* the same, mapped */
        {'+', "64:ff9b::192.0.2.1", 0, ADMISSION_CALLER_FULL}, /* by NAT64 */
        {'+', "2002:c000:201::1", 0, ADMISSION_CALLER_FULL},   /* by 6to4 */
        {'+', "192.0.2.2", 0, ADMISSION_GRANTED},              /* step 6 */
        {'+', "2001:db8:1:2::1", 0, ADMISSION_GRANTED},
        {'+', "2001:db8:1:2:ffff::9", 0, ADMISSION_GRANTED}, /* same /64 */
        {'+', "2001:db8:1:3::3", 0, ADMISSION_FULL},
        {'u', "192.0.2.9", 0, ADMISSION_FULL}, /* a proxy counts towards the total */
        {'-', "192.0.2.2", 6, ADMISSION_GRANTED},
        {'+', "2001:db8:1:2::3", 0, ADMISSION_CALLER_FULL},
        {'+', "2001:db8:1:3::3", 0, ADMISSION_GRANTED}, /* next /64 */
        {'-', "192.0.2.1", 0, ADMISSION_GRANTED},
        {'-', "192.0.2.1", 1, ADMISSION_GRANTED},
        {'u', "192.0.2.1", 0, ADMISSION_GRANTED}, /* step 16 */
        {'u', "192.0.2.1", 0, ADMISSION_GRANTED},
        {'-', "192.0.2.1", 16, ADMISSION_GRANTED},
        {'+', "192.0.2.1", 0, ADMISSION_GRANTED}, /* the proxy's did not count for it */
    };
    struct admission *admission = admission_of(5, 2, NO_LIMIT);
    uint32_t places[sizeof steps / sizeof *steps];
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const struct step *step = &steps[i];
        struct address peer = address_of(step->peer);
        if (step->move == '-') {
            assert_false(admission_leave(admission, places[step->entered]));
            continue;
        }
        enum admission_answer answer =
            admission_enter(admission, &peer, step->move == 'u', NO_FD, at(0), &places[i]);
        if (answer != step->answer)
            fail_msg("step %zu: %c %s: %d", i, step->move, step->peer, (int)answer);
        if (answer == ADMISSION_GRANTED)
            assert_true(admission_work(admission, places[i]));
    }
    assert_int_equal(admission_connections(admission), 5);
    admission_free(admission);
}

/* --- networks ------------------------------------------------------------------------- */

static void a_network_is_a_24_or_a_48(void **state)
{
    (void)state;
    static const struct {
        const char *one, *two;
        bool is_same;
    } rows[] = {
        {"192.0.2.1", "192.0.2.254", true},
        {"192.0.2.1", "192.0.3.1", false},
        {"192.0.2.1", "::ffff:192.0.2.7", true},
        {"192.0.2.1", "64:ff9b::192.0.2.7", true},
        {"2001:db8:1:2::1", "2001:db8:1:ffff::1", true},
        {"2001:db8:1:2::1", "2001:db8:2:2::1", false},
        {"2001:db8:1:2::1", "2001:db9:1:2::1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct admission *admission = admission_of(8, 8, 1);
        uint32_t place;
        assert_int_equal(enter(admission, rows[i].one, &place), ADMISSION_GRANTED);
        assert_true(admission_work(admission, place));
        enum admission_answer answer = enter(admission, rows[i].two, &place);
        if (answer != (rows[i].is_same ? ADMISSION_NETWORK_FULL : ADMISSION_GRANTED))
            fail_msg("%s and %s: %d", rows[i].one, rows[i].two, (int)answer);
        admission_free(admission);
    }
}

static void a_proxy_has_no_network(void **state)
{
    (void)state;
    struct admission *admission = admission_of(3, 1, 1);
    struct address proxy = address_of("192.0.2.1");
    uint32_t place;
    for (int i = 0; i < 3; i++)
        assert_int_equal(admission_enter(admission, &proxy, true, NO_FD, at(0), &place),
                         ADMISSION_GRANTED);
    admission_free(admission);
}

/* --- giving way ----------------------------------------------------------------------- */

enum { GUESTS = 100 };

/* Guests from networks of their own; guest i has been waiting since second `since(i)`. */
static struct admission *full_house(uint32_t places[GUESTS], int64_t (*since)(int i))
{
    struct admission *admission = admission_of(GUESTS, GUESTS, GUESTS);
    for (int i = 0; i < GUESTS; i++) {
        char text[ADDRESS_TEXT_SIZE];
        snprintf(text, sizeof text, "10.0.%d.1", i);
        struct address peer = address_of(text);
        assert_int_equal(
            admission_enter(admission, &peer, false, NO_FD, at(since(i)), &places[i]),
            ADMISSION_GRANTED);
    }
    return admission;
}

static int64_t since_shuffled(int i)
{
    return 1 + (i * 37) % GUESTS;
}

static int64_t since_first(int i)
{
    (void)i;
    return 1;
}

/* One more comes at `now`. Returns which guest has given way, -1 for none. */
static int newcomer(struct admission *admission, uint32_t places[GUESTS], int64_t now)
{
    struct address peer = address_of("203.0.113.1");
    uint32_t place;
    enum admission_answer answer =
        admission_enter(admission, &peer, false, NO_FD, at(now), &place);
    if (answer != ADMISSION_GRANTED)
        return -1;

    assert_true(admission_work(admission, place));
    for (int i = 0; i < GUESTS; i++)
        if (places[i] != UINT32_MAX && !admission_work(admission, places[i])) {
            assert_true(admission_leave(admission, places[i]));
            places[i] = UINT32_MAX;
            return i;
        } else if (places[i] != UINT32_MAX) {
            assert_true(admission_wait(admission, places[i], at(since_shuffled(i))));
        }
    fail_msg("no guest gave way");
    return -1;
}

/* More than one search finds. */
static void the_longest_wait_gives_way_first(void **state)
{
    (void)state;
    uint32_t places[GUESTS];
    struct admission *admission = full_house(places, since_shuffled);
    for (int64_t rank = 1; rank <= GUESTS; rank++)
        assert_int_equal(since_shuffled(newcomer(admission, places, 1000)), rank);
    assert_int_equal(newcomer(admission, places, 1000), -1);
    assert_int_equal(admission_connections(admission), GUESTS);
    admission_free(admission);
}

static void who_works_does_not_give_way(void **state)
{
    (void)state;
    uint32_t places[GUESTS], place;
    struct admission *admission = full_house(places, since_first);
    struct address peer = address_of("203.0.113.1");
    for (int i = 0; i < GUESTS; i++)
        assert_true(admission_work(admission, places[i]));
    assert_int_equal(admission_enter(admission, &peer, false, NO_FD, at(9), &place),
                     ADMISSION_FULL);

    /* its worker's turn began after that of the newcomer's */
    assert_true(admission_wait(admission, places[7], at(20)));
    assert_int_equal(admission_enter(admission, &peer, false, NO_FD, at(19), &place),
                     ADMISSION_GRANTED);
    assert_false(admission_wait(admission, places[7], at(21)));
    assert_true(admission_leave(admission, places[7]));
    admission_free(admission);
}

/* --- shares of those that work ---------------------------------------------------------
 */

/* Enters and works, if it may. */
static bool begin_work(struct admission *admission, const char *peer, bool is_unlimited,
                       uint32_t *ret_place)
{
    struct address address = address_of(peer);
    return admission_enter(admission, &address, is_unlimited, NO_FD, at(0), ret_place) ==
               ADMISSION_GRANTED &&
           admission_may_work(admission, *ret_place, &address) &&
           admission_work(admission, *ret_place);
}

/* Four networks, each of which may have all of its quarter. */
static void checks_of_networks_leave_places(void **state)
{
    (void)state;
    enum { LIMIT = 96, NETWORKS = 4, SHARE = 20 }; /* 6 in reserve */
    uint32_t places[NETWORKS], place;
    struct admission *admission = admission_of(LIMIT, LIMIT, LIMIT / NETWORKS);
    for (unsigned i = 0, refused = 0; refused < NETWORKS; i++) {
        char peer[32];
        snprintf(peer, sizeof peer, "192.0.%u.1", i % NETWORKS);
        if (begin_work(admission, peer, false, &places[i % NETWORKS]))
            assert_true(i < NETWORKS * SHARE);
        else
            refused++;
    }
    /* 80 work, 20 of each network, which is twice as many as are left */
    assert_true(begin_work(admission, "198.51.100.1", false, &place));
    assert_false(begin_work(admission, "192.0.0.1", false, &place));
    admission_free(admission);
}

static void who_has_worked_leaves_its_share(void **state)
{
    (void)state;
    uint32_t first, second, place;
    struct address caller = address_of("192.0.2.1");
    struct admission *admission = admission_of(3, 3, 3);
    assert_true(begin_work(admission, "192.0.2.1", false, &first));
    assert_true(begin_work(admission, "192.0.2.1", false, &second));
    assert_false(begin_work(admission, "192.0.2.1", false, &place));

    assert_true(admission_wait(admission, first, at(1)));
    assert_true(admission_may_work(admission, place, &caller));
    assert_true(admission_work(admission, first));
    assert_true(admission_work(admission, first)); /* counts once */
    assert_false(admission_may_work(admission, place, &caller));
    assert_false(admission_leave(admission, second));
    assert_true(admission_may_work(admission, place, &caller));
    admission_free(admission);
}

static void checks_leave_a_reserve(void **state)
{
    (void)state;
    enum { LIMIT = 32, RESERVE = LIMIT / ADMISSION_WORK_RESERVE };
    uint32_t place;
    struct admission *admission = admission_of(LIMIT, 1, 1);
    for (int i = 0; i < LIMIT - RESERVE; i++) {
        char peer[32];
        snprintf(peer, sizeof peer, "192.0.%d.1", i);
        assert_true(begin_work(admission, peer, true, &place));
    }
    assert_false(begin_work(admission, "192.0.255.1", true, &place));
    assert_false(begin_work(admission, "198.51.100.1", false, &place));
    admission_free(admission);
}

/* A proxy's connection, which works for `caller` if it may. */
static bool work_for(struct admission *admission, uint32_t place, const char *caller)
{
    struct address address = address_of(caller);
    return admission_may_work(admission, place, &address) &&
           admission_work(admission, place);
}

static void callers_behind_a_proxy_share_as_others_do(void **state)
{
    (void)state;
    enum { LIMIT = 96, NETWORKS = 4, SHARE = 20 }; /* 6 in reserve */
    uint32_t places[LIMIT], place;
    struct address proxy = address_of("10.0.0.1");
    struct admission *admission = admission_of(LIMIT, LIMIT, LIMIT);
    for (unsigned i = 0; i < LIMIT - 1; i++)
        assert_int_equal(ADMISSION_GRANTED, admission_enter(admission, &proxy, true, NO_FD,
                                                            at(0), &places[i]));
    unsigned used = 0;
    for (unsigned i = 0, refused = 0; refused < NETWORKS; i++) {
        char caller[32];
        snprintf(caller, sizeof caller, "192.0.%u.%u", i % NETWORKS, i % 250);
        if (work_for(admission, places[used], caller))
            used++;
        else
            refused++;
    }
    assert_int_equal(NETWORKS * SHARE, used);
    assert_true(work_for(admission, places[used], "198.51.100.1"));
    assert_false(work_for(admission, places[used + 1], "192.0.0.9"));
    /* without a proxy it is the same network */
    assert_false(begin_work(admission, "192.0.0.9", false, &place));

    for (unsigned i = 0; i < used; i += 2)
        assert_true(admission_wait(admission, places[i], at(1)));
    assert_true(work_for(admission, places[0], "192.0.0.9"));
    assert_true(work_for(admission, places[2], "203.0.113.1"));
    assert_true(admission_wait(admission, places[2], at(2)));
    for (unsigned i = 0; i < LIMIT - 1; i++)
        assert_false(admission_leave(admission, places[i]));
    admission_free(admission);
}

/* --- more about giving way ------------------------------------------------------------ */

static void a_request_resets_the_wait(void **state)
{
    (void)state;
    uint32_t places[3], place;
    struct admission *admission = admission_of(3, 3, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(enter(admission, "192.0.2.1", &places[i]), ADMISSION_GRANTED);
    struct address peer = address_of("203.0.113.1");
    for (int i = 0; i < 3; i++)
        admission_wait(admission, places[i], at(10 + i));
    assert_int_equal(
        admission_enter(admission, &peer, false, NO_FD, at(20), &place),
        ADMISSION_GRANTED); /* for places[0], and the search has found 1 and 2 */
    admission_wait(admission, places[1], at(21));
    assert_int_equal(admission_enter(admission, &peer, false, NO_FD, at(22), &place),
                     ADMISSION_GRANTED);
    assert_true(admission_leave(admission, places[0]));
    assert_false(admission_leave(admission, places[1]));
    assert_true(admission_leave(admission, places[2]));
    admission_free(admission);
}

/* The longest wait of all is another network's, and stays. */
static void a_full_network_makes_room_in_itself(void **state)
{
    (void)state;
    uint32_t other, first, second, third;
    struct admission *admission = admission_of(8, 8, 2);
    assert_int_equal(enter(admission, "198.51.100.1", &other), ADMISSION_GRANTED);
    assert_int_equal(enter(admission, "192.0.2.1", &first), ADMISSION_GRANTED);
    assert_int_equal(enter(admission, "192.0.2.2", &second), ADMISSION_GRANTED);
    admission_wait(admission, first, at(2));
    admission_wait(admission, second, at(1));
    struct address peer = address_of("192.0.2.3");
    assert_int_equal(admission_enter(admission, &peer, false, NO_FD, at(5), &third),
                     ADMISSION_GRANTED);
    assert_false(admission_leave(admission, other));
    assert_false(admission_leave(admission, first));
    assert_true(admission_leave(admission, second));
    assert_false(admission_leave(admission, third));
    assert_int_equal(admission_connections(admission), 0);
    admission_free(admission);
}

/* The worker of an evicted connection sees a descriptor whose both sides have ended. */
static void the_evicted_is_shut_down(void **state)
{
    (void)state;
    struct admission *admission = admission_of(1, 1, 1);
    struct address one = address_of("192.0.2.1"), two = address_of("203.0.113.1");
    int pair[2];
    uint32_t first, second;
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(admission_enter(admission, &one, false, pair[0], at(0), &first),
                     ADMISSION_GRANTED);
    assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(admission_enter(admission, &two, false, NO_FD, at(1), &second),
                     ADMISSION_GRANTED);
    assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), 0);
    close(pair[0]);
    close(pair[1]);
    admission_free(admission);
}

/* Evicted connections whose workers do not get to their end keep their places. */
static void places_do_not_grow_without_end(void **state)
{
    (void)state;
    struct admission *admission = admission_of(8, 1, 8);
    char text[ADDRESS_TEXT_SIZE];
    uint32_t place;
    int granted = 0;
    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "10.%d.%d.1", i / 250, i % 250);
        granted += enter(admission, text, &place) == ADMISSION_GRANTED;
    }
    assert_int_equal(granted, 8 + 8 / 8 + 1024);
    admission_free(admission);
}

/* --- under pressure ------------------------------------------------------------------- */

/* How many of 100 places are still taken after a relief at `now`, with `count` connections
 * that have been waiting since second 0. */
static size_t relieved(int count, int64_t now)
{
    uint32_t places[GUESTS];
    struct admission *admission = full_house(places, since_first);
    for (int i = count; i < GUESTS; i++)
        admission_leave(admission, places[i]);
    admission_relieve(admission, at(1 + now));
    size_t left = 0;
    for (int i = 0; i < count; i++)
        left += !admission_leave(admission, places[i]);
    admission_free(admission);
    return left;
}

static void waits_are_shorter_under_pressure(void **state)
{
    (void)state;
    static const struct {
        int count;
        int64_t seconds;
        size_t left;
    } rows[] = {
        {50, 1000, 50},               /* half: no pressure */
        {60, 48, 60},   {60, 50, 59}, /* 49 s; then there is less pressure */
        {100, 4, 100},  {100, 6, 99}, {100, 33, 74}, {100, 61, 50},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t left = relieved(rows[i].count, rows[i].seconds);
        if (left != rows[i].left)
            fail_msg("%d for %d s: %zu left", rows[i].count, (int)rows[i].seconds, left);
    }
}

static struct address caller(uint32_t i)
{
    char text[ADDRESS_TEXT_SIZE];
    snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
    return address_of(text);
}

/* A table at its limit still finds every caller, whichever left before. */
static void a_full_table_forgets_no_caller(void **state)
{
    (void)state;
    enum { CALLERS = 4096 };
    struct admission *admission = admission_of(CALLERS, 1, NO_LIMIT);
    static uint32_t places[CALLERS];
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < CALLERS; i++) {
            struct address peer = caller(i);
            enum admission_answer answer =
                admission_enter(admission, &peer, false, NO_FD, at(0), &places[i]);
            assert_int_equal(answer, ADMISSION_GRANTED);
        }
        for (uint32_t i = 0; i < CALLERS; i += 3)
            admission_leave(admission, places[i]);
        for (uint32_t i = 0; i < CALLERS; i++) {
            struct address peer = caller(i);
            enum admission_answer answer =
                admission_enter(admission, &peer, false, NO_FD, at(0), &places[i]);
            assert_int_equal(answer,
                             i % 3 == 0 ? ADMISSION_GRANTED : ADMISSION_CALLER_FULL);
            admission_leave(admission, places[i]);
        }
        assert_int_equal(admission_connections(admission), 0);
    }
    admission_free(admission);
}

/* Comes, works, waits and goes; the others make it give way at any of these moments. */
static void *come_and_go(void *ctx)
{
    struct admission *admission = ctx;
    for (uint32_t i = 0; i < 50000; i++) {
        struct address peer = caller(i % 7);
        struct instant now = {i};
        uint32_t place;
        if (admission_enter(admission, &peer, i % 5 == 0, NO_FD, now, &place) !=
            ADMISSION_GRANTED)
            continue;
        admission_may_work(admission, place, &peer);
        bool stays = admission_work(admission, place);
        if (stays && i % 2 == 0)
            stays = admission_wait(admission, place, now);
        if (i % 16 == 0)
            admission_relieve(admission, now);
        bool is_evicted = admission_leave(admission, place);
        assert_true(is_evicted || stays);
        assert_true(!is_evicted || !stays || i % 2 == 0);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    (void)state;
    struct admission *admission = admission_of(3, 2, 3);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, admission), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(admission_connections(admission), 0);

    /* None is counted as working any longer: all three places may work. */
    static const char *const peers[] = {"192.0.2.1", "198.51.100.1", "203.0.113.1"};
    uint32_t place;
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++)
        assert_true(begin_work(admission, peers[i], false, &place));
    admission_free(admission);
}

static void limits_of_zero_are_refused(void **state)
{
    (void)state;
    struct admission *admission = NULL;
    struct err err;
    static const struct admission_limits rows[] = {{0, 1, 1}, {1, 0, 1}, {1, 1, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_false(admission_new(&rows[i], &admission, &err));
        assert_int_equal(err.kind, ERR_INVALID);
    }
    assert_null(admission);
    assert_null(admission_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limits_hold),
        cmocka_unit_test(a_network_is_a_24_or_a_48),
        cmocka_unit_test(a_proxy_has_no_network),
        cmocka_unit_test(the_longest_wait_gives_way_first),
        cmocka_unit_test(who_works_does_not_give_way),
        cmocka_unit_test(checks_of_networks_leave_places),
        cmocka_unit_test(who_has_worked_leaves_its_share),
        cmocka_unit_test(checks_leave_a_reserve),
        cmocka_unit_test(callers_behind_a_proxy_share_as_others_do),
        cmocka_unit_test(a_request_resets_the_wait),
        cmocka_unit_test(a_full_network_makes_room_in_itself),
        cmocka_unit_test(the_evicted_is_shut_down),
        cmocka_unit_test(places_do_not_grow_without_end),
        cmocka_unit_test(waits_are_shorter_under_pressure),
        cmocka_unit_test(a_full_table_forgets_no_caller),
        cmocka_unit_test(threads_share_it),
        cmocka_unit_test(limits_of_zero_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
