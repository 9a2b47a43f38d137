/* SPDX-License-Identifier: MIT */
#include "upnp/igd.h"

#include "upnp/neighbourhood.h"

#include <miniupnpc/miniwget.h>
#include <miniupnpc/upnpcommands.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_MINISSDPD "" /* which would be a Unix socket */
#define TTL          2
#define HTTP_OK      200
#define WORDS_SIZE   64 /* of a state, in the library */

/* Whether it is `service` in any version. */
static bool is_service(const struct IGDdatas_service *service, const char *name)
{
    return strncmp(service->servicetype, name, strlen(name)) == 0;
}

static bool is_connection(const struct IGDdatas_service *service)
{
    return is_service(service, "urn:schemas-upnp-org:service:WANIPConnection:") ||
           is_service(service, "urn:schemas-upnp-org:service:WANPPPConnection:");
}

static bool is_firewall(const struct IGDdatas_service *service)
{
    return is_service(service, "urn:schemas-upnp-org:service:WANIPv6FirewallControl:");
}

static bool is_reachable(const char *control_url)
{
    return control_url && neighbourhood_has_url(control_url);
}

/* --- its state ------------------------------------------------------------------------ */

static void outer_ask(struct igd *igd)
{
    char text[WORDS_SIZE] = "";
    struct address outer;
    igd->has_outer = UPNP_GetExternalIPAddress(igd->urls.controlURL,
                                               igd->data.first.servicetype, text) == 0 &&
                     address_parse(text, strnlen(text, sizeof text), &outer, NULL) &&
                     address_family_number(&outer) == 4 && !address_is_any(&outer);
    if (igd->has_outer)
        igd->outer = outer;
}

/* A router that does not tell is taken for connected: then its answers to other questions
 * are what counts. */
static bool connection_ask(struct igd *igd)
{
    char state[WORDS_SIZE] = "";
    char fault[WORDS_SIZE] = "";
    unsigned uptime;
    int result = UPNP_GetStatusInfo(igd->urls.controlURL, igd->data.first.servicetype,
                                    state, &uptime, fault);
    return result != 0 || strcmp(state, "Connected") == 0 || strcmp(state, "Up") == 0;
}

/* Some have a connection that is not in use beside the one that is. */
static void connection_choose(struct igd *igd, const char *url, unsigned zone)
{
    igd->is_connected = connection_ask(igd);
    if (!igd->is_connected && is_connection(&igd->data.second)) {
        FreeUPNPUrls(&igd->urls);
        igd->data.first = igd->data.second;
        GetUPNPUrls(&igd->urls, &igd->data, url, zone);
        igd->is_connected = is_reachable(igd->urls.controlURL) && connection_ask(igd);
    }
    if (igd->is_connected)
        outer_ask(igd);
}

/* --- its description ------------------------------------------------------------------ */

static bool description_get(const struct UPNPDev *device, struct IGDdatas *ret)
{
    char source[WORDS_SIZE] = "";
    int size = 0, status = 0;
    char *xml = miniwget_getaddr(device->descURL, &size, source, (int)sizeof source,
                                 device->scope_id, &status);
    bool is_there = xml && size > 0 && status == HTTP_OK;
    *ret = (struct IGDdatas){0};
    if (is_there)
        parserootdesc(xml, size, ret);
    free(xml);
    return is_there;
}

static bool device_try(const struct UPNPDev *device, int family, struct igd *ret)
{
    if (!description_get(device, &ret->data) ||
        !(family == 4 ? is_connection(&ret->data.first) : is_firewall(&ret->data.IPv6FC)))
        return false;

    GetUPNPUrls(&ret->urls, &ret->data, device->descURL, device->scope_id);
    if (!is_reachable(family == 4 ? ret->urls.controlURL : ret->urls.controlURL_6FC)) {
        FreeUPNPUrls(&ret->urls);
        return false;
    }
    ret->is_connected = true;
    if (family == 4)
        connection_choose(ret, device->descURL, device->scope_id);
    return true;
}

/* --- discovery ------------------------------------------------------------------------ */

static bool round_run(const char *type, int wait_ms, int family,
                      const struct address *local, struct igd *ret, size_t *ret_ignored)
{
    char literal[ADDRESS_TEXT_SIZE];
    const char *types[] = {type, NULL};
    int error;
    bool is_found = false;
    struct UPNPDev *devices = upnpDiscoverDevices(
        types, wait_ms,
        family == 4 ? address_format(local, literal) : neighbourhood_interface(),
        NO_MINISSDPD, UPNP_LOCAL_PORT_ANY, family == 6, TTL, &error, 0);
    *ret_ignored = 0;
    for (const struct UPNPDev *device = devices; device && !is_found;
         device = device->pNext) {
        if (neighbourhood_has_url(device->descURL))
            is_found = device_try(device, family, ret);
        else
            (*ret_ignored)++;
    }
    freeUPNPDevlist(devices);
    return is_found;
}

/* Most routers answer at once; they may take a second. Those of version 2 answer to version
 * 1, too, or ought to. */
bool igd_find(int family, const struct address *local, struct igd *ret, size_t *ret_ignored)
{
    static const struct {
        const char *type;
        int wait_ms;
    } rounds[] = {
        {"urn:schemas-upnp-org:device:InternetGatewayDevice:1", 250},
        {"urn:schemas-upnp-org:device:InternetGatewayDevice:1", 1100},
        {"urn:schemas-upnp-org:device:InternetGatewayDevice:2", 1100},
        {"upnp:rootdevice", 1100},
    };
    size_t most = 0;
    bool is_found = false;
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds && !is_found; i++) {
        size_t ignored;
        is_found =
            round_run(rounds[i].type, rounds[i].wait_ms, family, local, ret, &ignored);
        most = ignored > most ? ignored : most;
    }
    *ret_ignored = most;
    return is_found;
}
