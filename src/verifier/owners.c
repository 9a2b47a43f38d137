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
#define OWN_MAX         16384  /* sockets of this process */

struct search {
    struct owner *owners; /* borrowed */
    uint64_t *inodes;     /* of the socket that holds each port; 0 = none found */
    size_t count;
    uint64_t *own; /* inodes of the sockets of this process */
    size_t own_count;
    size_t unnamed;
    size_t looked_at;
};

/* --- one row -------------------------------------------------------------------------- */

static void listener_note(struct owner *owner, const struct address *local)
{
    if (owner->use != OWNER_USE_LISTENER)
        owner->is_on_all = false;
    owner->use = OWNER_USE_LISTENER;
    for (size_t i = 0; i < owner->address_count; i++)
        if (address_equals(&owner->addresses[i], local))
            return;
    if (address_is_any(local) || owner->address_count == OWNER_ADDRESSES_MAX) {
        owner->is_on_all = true;
        return;
    }
    owner->addresses[owner->address_count] = *local;
    address_set_port(&owner->addresses[owner->address_count++], 0);
}

/* An IPv6 socket holds an IPv4 port if it is bound to a mapped address, or to "::", for
 * IPv4 as well; and a socket that is bound to a mapped address holds no IPv6 port. A
 * handshake that is not finished belongs to a listener. */
bool owner_take_row(struct owner *owner, const struct tcp_row *row)
{
    const struct address local = address_unmap(&row->local);
    bool is_same_family = local.sa.sa_family == owner->family;
    bool is_dual = owner->family == AF_INET && address_is_any(&local);
    if (owner->port != address_port(&local) || row->state == TCP_STATE_SYN_RECV ||
        (!is_same_family && !is_dual))
        return false;
    if (row->state == TCP_STATE_LISTEN) {
        bool is_first = owner->use != OWNER_USE_LISTENER;
        owner->has_waiting = owner->has_waiting || row->waiting > 0;
        listener_note(owner, &local);
        return is_first || is_same_family;
    }
    if (owner->use == OWNER_USE_LISTENER)
        return false;
    bool is_first = owner->use != OWNER_USE_CONNECTION;
    owner->use = OWNER_USE_CONNECTION;
    return is_first || is_same_family;
}

bool owner_listens_elsewhere(const struct owner *owner, const struct address *here)
{
    if (owner->use != OWNER_USE_LISTENER || owner->is_on_all)
        return false;
    for (size_t i = 0; i < owner->address_count; i++)
        if (address_equals(&owner->addresses[i], here))
            return false;
    return true;
}

bool owner_is_systemd(const struct owner *owner)
{
    return strcmp(owner->name, "systemd") == 0;
}

bool owner_is_loopback_only(const struct owner *owner)
{
    if (owner->use != OWNER_USE_LISTENER || owner->is_on_all)
        return false;
    for (size_t i = 0; i < owner->address_count; i++)
        if (!address_is_loopback(&owner->addresses[i]))
            return false;
    return true;
}

/* --- all of them ---------------------------------------------------------------------- */

static bool is_own(const struct search *search, uint64_t inode)
{
    for (size_t i = 0; i < search->own_count; i++)
        if (search->own[i] == inode)
            return true;
    return false;
}

static void row_look(void *ctx, const struct tcp_row *row)
{
    struct search *search = ctx;
    for (size_t i = 0; i < search->count; i++)
        if (search->owners[i].port == address_port(&row->local) &&
            !is_own(search, row->inode) && owner_take_row(&search->owners[i], row))
            search->inodes[i] = row->inode;
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
        struct owner *owner = &search->owners[i];
        bool is_named = owner->name[0] != '\0' && !owner_is_systemd(owner);
        if (search->inodes[i] != inode || is_named)
            continue;
        name_read(process, owner->name);
        /* systemd keeps the socket of a service that has it, too. */
        if (owner->name[0] != '\0' && !owner_is_systemd(owner))
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

static void own_look(struct search *search)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (folder && search->own_count < OWN_MAX && (entry = readdir(folder)))
        search->own_count +=
            link_read(dirfd(folder), entry->d_name, &search->own[search->own_count]);
    if (folder)
        closedir(folder);
}

static void tables_look(struct search *search)
{
    /* What holds a port and is not in the tables is bound, and no more. */
    bool has_four = tcp_table_read(TCP_TABLE_4, row_look, search);
    bool has_six = tcp_table_read(TCP_TABLE_6, row_look, search);
    bool is_shown = has_four || has_six; /* without IPv6, there is no second file */
    for (size_t i = 0; i < search->count; i++) {
        struct owner *owner = &search->owners[i];
        if (owner->use == OWNER_USE_UNKNOWN && is_shown)
            owner->use = OWNER_USE_BOUND;
        search->unnamed += search->inodes[i] > 0;
    }
}

void owners_find(struct owner *owners, size_t count)
{
    struct search search = {
        .owners = owners,
        .count = count,
        .inodes = calloc(count + 1, sizeof *search.inodes),
        .own = calloc(OWN_MAX, sizeof *search.own),
    };
    for (size_t i = 0; i < count; i++)
        owners[i] = (struct owner){.port = owners[i].port, .family = owners[i].family};
    if (search.inodes && search.own) { /* without memory, the report has no name */
        own_look(&search);
        tables_look(&search);
        processes_look(&search);
    }
    free(search.inodes);
    free(search.own);
}
