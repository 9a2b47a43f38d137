/* SPDX-License-Identifier: MIT
 *
 * Two network namespaces of the test program's own, joined by a veth pair:
 *
 *   here    10.77.0.1/24  fd77::1/64   the side of what is tested
 *   there   10.77.0.2/24  fd77::2/64   targets; its firewall defines their behaviour
 *   10.88.0.0/16 and fd88::/64 lie behind gateways that do not exist.
 *
 * If the rights or the programs ip and nft are missing, lab_enter() returns false and every
 * test that needs them is skipped.
 */
#pragma once

#include "addresses.h"
#include "net/address.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HERE   "10.77.0.1"
#define THERE  "10.77.0.2"
#define THERE6 "fd77::2"

/* --- namespaces --------------------------------------------------------------------- */

static int lab_here_ns = -1, lab_there_ns = -1;

static inline bool shell(const char *command)
{
    bool is_done = system(command) == 0;
    if (!is_done)
        fprintf(stderr, "# failed: %s\n", command);
    return is_done;
}

static inline bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return is_done;
}

static inline bool enter_network(void)
{
    char map[64];
    if (unshare(CLONE_NEWNET) == 0)
        return true;

    snprintf(map, sizeof map, "0 %u 1", (unsigned)getuid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 &&
           write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", map) && write_file("/proc/self/gid_map", map);
}

static inline void go(int ns)
{
    if (setns(ns, CLONE_NEWNET) != 0)
        abort();
}

/* Runs a command on the other side. */
static inline bool there(const char *command)
{
    go(lab_there_ns);
    bool is_done = shell(command);
    go(lab_here_ns);
    return is_done;
}

static inline bool lab_enter(void)
{
    char wires[256];
    if (!enter_network())
        return false;
    lab_here_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (unshare(CLONE_NEWNET) != 0)
        return false;
    lab_there_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    go(lab_here_ns);

    snprintf(wires, sizeof wires,
             "ip link set lo up && ip link add here type veth peer name there && "
             "ip link set there netns /proc/%d/fd/%d",
             (int)getpid(), lab_there_ns);
    return shell(wires) &&
           shell("ip addr add 10.77.0.1/24 dev here && "
                 "ip addr add fd77::1/64 dev here nodad && ip link set here up") &&
           there("ip link set lo up && ip addr add 10.77.0.2/24 dev there && "
                 "ip addr add fd77::2/64 dev there nodad && ip link set there up && "
                 "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit && "
                 "echo 0 >/proc/sys/net/ipv6/icmp/ratelimit") &&
           shell("ip route add 10.88.0.0/16 via 10.77.0.99 && "
                 "ip -6 route add fd88::/64 via fd77::99 && "
                 "echo 1 >/proc/sys/net/ipv4/neigh/here/mcast_solicit && "
                 "echo 100 >/proc/sys/net/ipv4/neigh/here/retrans_time_ms && "
                 "echo 1 >/proc/sys/net/ipv6/neigh/here/mcast_solicit && "
                 "echo 100 >/proc/sys/net/ipv6/neigh/here/retrans_time_ms");
}

/* Replaces the firewall on the other side; `rules` are lines of one input chain. */
static inline bool firewall(const char *rules)
{
    char command[3500];
    snprintf(command, sizeof command,
             "nft -f - <<'END'\n"
             "flush ruleset\n"
             "table inet lab { chain in { type filter hook input priority 0\n"
             "%s\n"
             "}\n}\nEND",
             rules);
    return there(command);
}

/* A rule that counts SYNs; what is before it in its line selects them. */
#define COUNT_SYNS_AS(name) "tcp flags & (syn | ack) == syn counter comment \"" name "\"\n"
#define COUNT_SYNS          COUNT_SYNS_AS("syns")

/* SYNs that have come in on the other side since firewall(), which must have had
 * COUNT_SYNS_AS(name) in its rules. */
static inline long syns_there_as(const char *name)
{
    char comment[64];
    char line[512];
    long count = -1;
    go(lab_there_ns);
    FILE *list = popen("nft list chain inet lab in", "re");
    go(lab_here_ns);
    assert_non_null(list);
    snprintf(comment, sizeof comment, "comment \"%s\"", name);
    while (fgets(line, sizeof line, list)) {
        const char *packets = strstr(line, "counter packets ");
        if (packets && strstr(line, comment))
            count = strtol(packets + strlen("counter packets "), NULL, 10);
    }
    assert_int_equal(pclose(list), 0);
    assert_true(count >= 0);
    return count;
}

static inline long syns_there(void)
{
    return syns_there_as("syns");
}

static inline void count_ports(uint16_t *ports, size_t count, uint16_t first)
{
    for (size_t i = 0; i < count; i++)
        ports[i] = (uint16_t)(first + i);
}

static inline int count_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* The number after `name` in /proc/net/snmp's Tcp lines, on the other side. */
static inline long tcp_counter_there(const char *name)
{
    char names[1024] = "", values[1024] = "";
    go(lab_there_ns);
    FILE *file = fopen("/proc/net/snmp", "re");
    go(lab_here_ns);
    assert_non_null(file);
    while (strncmp(names, "Tcp:", 4) != 0)
        assert_non_null(fgets(names, sizeof names, file));
    assert_non_null(fgets(values, sizeof values, file));
    fclose(file);

    char *names_at, *values_at;
    char *word = strtok_r(names, " \n", &names_at);
    char *value = strtok_r(values, " \n", &values_at);
    while (word && value && strcmp(word, name) != 0) {
        word = strtok_r(NULL, " \n", &names_at);
        value = strtok_r(NULL, " \n", &values_at);
    }
    assert_non_null(value);
    return strtol(value, NULL, 10);
}

/* --- targets ------------------------------------------------------------------------ */

static inline struct address address_and_port(const char *text, uint16_t port)
{
    struct address address = address_of(text);
    address_set_port(&address, port);
    return address;
}

static inline uint16_t port_of(int fd)
{
    struct sockaddr_in6 name;
    socklen_t len = sizeof name;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    return ntohs(name.sin6_port); /* at the same place in sockaddr_in */
}

static inline int bound_socket(const char *text, uint16_t port)
{
    struct address address = address_and_port(text, port);
    const int on = 1;
    int fd = socket(address.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, &address.sa, address.len), 0);
    return fd;
}

static inline int listener(const char *text, uint16_t port, int backlog)
{
    int fd = bound_socket(text, port);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static inline int listener_there(const char *text, uint16_t port, int backlog)
{
    go(lab_there_ns);
    int fd = listener(text, port, backlog);
    go(lab_here_ns);
    return fd;
}

/* A port of loopback that is free now; nothing else runs in this namespace. */
static inline uint16_t closed_port(void)
{
    int fd = bound_socket("127.0.0.1", 0);
    uint16_t port = port_of(fd);
    close(fd);
    return port;
}
