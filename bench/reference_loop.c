/* SPDX-License-Identifier: MIT
 *
 * The least that a half-open check of open ports can cost: one thread, one epoll, for each
 * probe socket, connect, one event, its error, close. No HTTP, no deadlines, no verdicts.
 *
 *   reference_loop --first PORT --ports N [--seconds S] [--host IPV4] [--in-flight N]
 *
 * Prints one JSON line: probes, seconds, probes_per_second. Fails (1) at the first probe
 * whose port is not open: then there is nothing to compare with.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 512

struct options {
    struct in_addr host;
    unsigned first, count, seconds, in_flight;
};

struct reference {
    struct options options;
    int epoll;
    unsigned in_flight;
    unsigned next; /* offset of the port that is probed next */
    uint64_t probes;
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool complain(const char *what)
{
    fprintf(stderr, "reference_loop: %s: %s\n", what, strerror(errno));
    return false;
}

static bool probe_start(struct reference *reference)
{
    const struct linger linger = {.l_onoff = 1};
    const int off = 0;
    unsigned port = reference->options.first + reference->next;
    struct sockaddr_in target = {
        .sin_family = AF_INET,
        .sin_addr = reference->options.host,
        .sin_port = htons((uint16_t)port),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return complain("socket");

    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off) != 0)
        return complain("setsockopt");
    if (connect(fd, (const struct sockaddr *)&target, sizeof target) != 0 &&
        errno != EINPROGRESS)
        return complain("connect");
    if (epoll_ctl(reference->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return complain("epoll_ctl");

    reference->next = (reference->next + 1) % reference->options.count;
    reference->in_flight++;
    return true;
}

static bool probe_end(struct reference *reference, int fd)
{
    int error;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return complain("getsockopt");
    close(fd);
    if (error != 0) {
        errno = error;
        return complain("a port is not open");
    }
    reference->in_flight--;
    reference->probes++;
    return true;
}

static bool reference_run(struct reference *reference)
{
    struct epoll_event events[EVENTS_MAX];
    double begun = seconds_now();
    double now = begun;

    while (now - begun < reference->options.seconds) {
        while (reference->in_flight < reference->options.in_flight)
            if (!probe_start(reference))
                return false;
        int count = epoll_wait(reference->epoll, events, EVENTS_MAX, 1000);
        if (count <= 0)
            return complain("epoll_wait");
        for (int i = 0; i < count; i++)
            if (!probe_end(reference, events[i].data.fd))
                return false;
        now = seconds_now();
    }
    printf("{\"probes\": %llu, \"seconds\": %.6f, \"probes_per_second\": %.1f}\n",
           (unsigned long long)reference->probes, now - begun,
           (double)reference->probes / (now - begun));
    return true;
}

static bool number_parse(const char *text, unsigned most, unsigned *ret)
{
    unsigned value = 0;
    if (*text == '\0')
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > most)
            return false;
    }
    *ret = value;
    return value > 0;
}

static bool options_parse(int argc, char *argv[], struct options *options)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        bool is_good = false;
        if (strcmp(name, "--host") == 0)
            is_good = inet_pton(AF_INET, value, &options->host) == 1;
        else if (strcmp(name, "--first") == 0)
            is_good = number_parse(value, UINT16_MAX, &options->first);
        else if (strcmp(name, "--ports") == 0)
            is_good = number_parse(value, UINT16_MAX, &options->count);
        else if (strcmp(name, "--seconds") == 0)
            is_good = number_parse(value, 600, &options->seconds);
        else if (strcmp(name, "--in-flight") == 0)
            is_good = number_parse(value, EVENTS_MAX, &options->in_flight);
        if (!is_good)
            return false;
    }
    return argc % 2 == 1 && options->first > 0 && options->count > 0 &&
           options->first + options->count - 1 <= UINT16_MAX;
}

int main(int argc, char *argv[])
{
    /* 128 in flight is the window that the engine grants one address. */
    struct reference reference = {
        .options = {.host.s_addr = htonl(INADDR_LOOPBACK), .seconds = 1, .in_flight = 128},
    };
    if (!options_parse(argc, argv, &reference.options)) {
        fputs("usage: reference_loop --first PORT --ports N [--seconds S] [--host IPV4] "
              "[--in-flight N]\n",
              stderr);
        return 2;
    }
    reference.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (reference.epoll < 0) {
        complain("epoll_create1");
        return 1;
    }
    return reference_run(&reference) ? 0 : 1;
}
