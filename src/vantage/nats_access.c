/* SPDX-License-Identifier: MIT */
#include "vantage/nats_access.h"

#include "base/err.h"
#include "base/file_text.h"
#include "base/log.h"
#include "net/address.h"
#include "settings/settings.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_CAS "/etc/ssl/certs/ca-certificates.crt"

/* ---- files ------------------------------------------------------------------------- */

static bool key_load(const char *path, struct nats_access *access, struct err *err)
{
    const char *jwt;
    size_t jwt_len;
    char *text;
    if (path[0] == '\0')
        return true;
    if (!file_text_read("PORT_CHECKER_NATS_CREDENTIALS", path, &text, err))
        return false;

    access->has_key = nats_key_file_parse(text, &access->key, &jwt, &jwt_len);
    access->jwt = access->has_key && jwt ? strndup(jwt, jwt_len) : NULL;
    bool has_memory = !access->has_key || !jwt || access->jwt;
    file_text_forget(text);
    if (!has_memory)
        return err_sys(err, ENOMEM, "PORT_CHECKER_NATS_CREDENTIALS");
    return access->has_key ? true
                           : err_set(err, ERR_INVALID,
                                     "PORT_CHECKER_NATS_CREDENTIALS=\"%.90s\": it must "
                                     "contain the seed of a user key (SU...), or be a "
                                     "credentials file with one",
                                     path);
}

static bool ca_load(const struct settings *settings, struct nats_access *access,
                    struct err *err)
{
    bool is_tls = false;
    for (size_t i = 0; i < settings->nats_servers.count; i++)
        is_tls |= settings->nats_servers.items[i].is_tls;
    if (!is_tls)
        return settings->nats_ca[0] == '\0'
                   ? true
                   : err_set(err, ERR_INVALID,
                             "PORT_CHECKER_NATS_CA is set, but no URL in "
                             "PORT_CHECKER_NATS_URL begins with tls://");

    const char *path = settings->nats_ca[0] ? settings->nats_ca : SYSTEM_CAS;
    if (!file_text_read("PORT_CHECKER_NATS_CA", path, &access->ca, err))
        return false;
    if (strstr(access->ca, "-----BEGIN CERTIFICATE-----"))
        return true;
    return err_set(err, ERR_INVALID,
                   "PORT_CHECKER_NATS_CA=\"%.90s\": it contains no certificate in PEM",
                   path);
}

/* ---- addresses --------------------------------------------------------------------- */

static void target_add(struct nats_access *access, const struct nats_server *server,
                       const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    bool is_ipv6 = address_family_number(address) == 6;
    if (access->target_count == NATS_TARGETS_MAX)
        return;

    struct nats_target *target = &access->targets[access->target_count++];
    target->is_tls = server->is_tls;
    snprintf(target->url, sizeof target->url, "%s://%s%s%s:%u",
             server->is_tls ? "tls" : "nats", is_ipv6 ? "[" : "",
             address_format(address, text), is_ipv6 ? "]" : "", server->port);
    snprintf(target->host, sizeof target->host, "%s", server->host);
}

static void server_resolve(const struct nats_server *server, struct nats_access *access)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct address address;
    if (address_parse(server->host, strlen(server->host), &address, NULL)) {
        target_add(access, server, &address);
        return;
    }

    int result = getaddrinfo(server->host, NULL, &hints, &found);
    if (result != 0)
        log_message(LOG_LEVEL_WARNING, "nats",
                    "PORT_CHECKER_NATS_URL: %s cannot be resolved: %s; it is not "
                    "resolved again before the next reload",
                    server->host, gai_strerror(result));
    for (const struct addrinfo *one = found; one; one = one->ai_next)
        if (address_from_sockaddr(one->ai_addr, one->ai_addrlen, &address))
            target_add(access, server, &address);
    if (found)
        freeaddrinfo(found);
}

bool nats_access_load(const struct settings *settings, struct nats_access **ret,
                      struct err *err)
{
    const struct nats_server_list *servers = &settings->nats_servers;
    if (servers->count == 0) {
        *ret = NULL;
        return true;
    }

    struct nats_access *access = calloc(1, sizeof *access);
    if (!access)
        return err_sys(err, ENOMEM, "NATS");
    if (!key_load(settings->nats_credentials, access, err) ||
        !ca_load(settings, access, err)) {
        nats_access_free(access);
        return false;
    }
    for (size_t i = 0; i < servers->count; i++)
        server_resolve(&servers->items[i], access);
    *ret = access;
    return true;
}

struct nats_access *nats_access_free(struct nats_access *access)
{
    if (!access)
        return NULL;

    file_text_forget(access->jwt);
    free(access->ca);
    explicit_bzero(access, sizeof *access);
    free(access);
    return NULL;
}
