/* SPDX-License-Identifier: MIT */
#include "verifier/owners.h"

#include "base/fd.h"
#include "base/text.h"
#include "verifier/tcp_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 200000 /* looked at, over all processes */

struct held {
    uint64_t inode; /* of the socket that holds the port; 0 = none found */
    bool is_own_family;
};

struct search {
    struct owner *owners; /* borrowed */
    struct held *held;    /* one each */
    size_t count;
    size_t unnamed;
    size_t looked_at;
};

/* A socket bound to "::" may hold the IPv4 port as well: it counts if no IPv4 socket does
 * (our own sockets are IPv6 only). A listener counts before a connection. */
static bool row_fits(const struct owner *owner, const struct held *held,
                     const struct tcp_row *row)
{
    bool is_own_family = row->local.sa.sa_family == owner->family;
    if (owner->port != address_port(&row->local))
        return false;
    if (!is_own_family && (held->is_own_family || owner->family == AF_INET6))
        return false;
    return row->state == TCP_STATE_LISTEN || held->inode == 0;
}

static void row_look(void *ctx, const struct tcp_row *row)
{
    struct search *search = ctx;
    for (size_t i = 0; i < search->count; i++) {
        struct owner *owner = &search->owners[i];
        struct held *held = &search->held[i];
        if (!row_fits(owner, held, row))
            continue;

        bool is_listening = row->state == TCP_STATE_LISTEN;
        bool is_first = !owner->is_listening;
        owner->is_loopback_only = is_listening && address_is_loopback(&row->local) &&
                                  (is_first || owner->is_loopback_only);
        owner->is_listening = is_listening;
        held->inode = row->inode;
        held->is_own_family = row->local.sa.sa_family == owner->family;
    }
}

static void name_read(int process, char ret_name[OWNER_NAME_SIZE])
{
    AUTO_FD fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
    char name[OWNER_NAME_SIZE];
    ssize_t len = fd >= 0 ? read(fd, name, sizeof name - 1) : -1;
    if (len <= 0)
        return;

    size_t end = 0;
    while (end < (size_t)len && name[end] != '\n') {
        ret_name[end] = name[end] >= ' ' && name[end] <= '~' ? name[end] : '?';
        end++;
    }
    ret_name[end] = '\0';
}

static void inode_name(struct search *search, uint64_t inode, int process)
{
    for (size_t i = 0; i < search->count; i++) {
        if (search->held[i].inode != inode || search->owners[i].name[0] != '\0')
            continue;
        name_read(process, search->owners[i].name);
        if (search->owners[i].name[0] != '\0')
            search->unnamed--;
    }
}

/* "socket:[12345]" */
static bool link_read(int folder, const char *name, uint64_t *ret_inode)
{
    static const char prefix[] = "socket:[";
    char link[64];
    ssize_t len = readlinkat(folder, name, link, sizeof link);
    if (len < (ssize_t)sizeof prefix || memcmp(link, prefix, sizeof prefix - 1) != 0)
        return false;
    return text_parse_u64(link + sizeof prefix - 1, (size_t)len - sizeof prefix, UINT64_MAX,
                          ret_inode);
}

static void process_look(struct search *search, int process)
{
    AUTO_FD fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder)
        return;
    fd_take(&fd);

    const struct dirent *entry;
    while (search->unnamed > 0 && search->looked_at < DESCRIPTORS_MAX &&
           (entry = readdir(folder))) {
        uint64_t inode;
        search->looked_at++;
        if (link_read(dirfd(folder), entry->d_name, &inode) && inode > 0)
            inode_name(search, inode, process);
    }
    closedir(folder);
}

static void processes_look(struct search *search)
{
    DIR *folder = opendir("/proc");
    if (!folder)
        return;

    const struct dirent *entry;
    while (search->unnamed > 0 && (entry = readdir(folder))) {
        uint64_t pid;
        if (!text_parse_u64(entry->d_name, strlen(entry->d_name), UINT32_MAX, &pid))
            continue;
        AUTO_FD process =
            openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (process >= 0)
            process_look(search, process);
    }
    closedir(folder);
}

void owners_find(struct owner *owners, size_t count)
{
    struct search search = {.owners = owners, .count = count};
    search.held = calloc(count + 1, sizeof *search.held);
    if (!search.held)
        return; /* without memory, the report has no name */

    for (size_t i = 0; i < count; i++)
        owners[i] = (struct owner){.port = owners[i].port, .family = owners[i].family};
    tcp_table_read("/proc/net/tcp", row_look, &search);
    tcp_table_read("/proc/net/tcp6", row_look, &search);
    for (size_t i = 0; i < count; i++)
        search.unnamed += search.held[i].inode > 0;
    processes_look(&search);
    free(search.held);
}
