/* SPDX-License-Identifier: MIT */
#include "upnp/igd.h"

#include "upnp/neighbourhood.h"
#include "upnp/ssdp.h"

#include <miniupnpc/miniwget.h>
#include <miniupnpc/upnpcommands.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HTTP_OK    200
#define WORDS_SIZE 64 /* of a state, in the library */
#define SEEN_MAX   16 /* other devices are not looked at: they flood the link */

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

/* Returns false if the router says that it has none. So does miniupnpd if its outer address
 * is not public, although its state is "Connected" then. */
static bool outer_ask(struct igd *igd)
{
    char text[WORDS_SIZE] = "";
    struct address outer;
    bool is_told = UPNP_GetExternalIPAddress(igd->urls.controlURL,
                                             igd->data.first.servicetype, text) == 0;
    igd->has_outer = is_told &&
                     address_parse(text, strnlen(text, sizeof text), &outer, NULL) &&
                     address_family_number(&outer) == 4 && !address_is_any(&outer);
    if (igd->has_outer)
        igd->outer = outer;
    return igd->has_outer || !is_told;
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

/* Some have an unused connection besides the one in use. */
static void connection_choose(struct igd *igd, unsigned zone)
{
    igd->is_connected = connection_ask(igd);
    if (!igd->is_connected && is_connection(&igd->data.second)) {
        FreeUPNPUrls(&igd->urls);
        igd->data.first = igd->data.second;
        GetUPNPUrls(&igd->urls, &igd->data, igd->url, zone);
        igd->is_connected = is_reachable(igd->urls.controlURL) && connection_ask(igd);
    }
    igd->is_connected = igd->is_connected && outer_ask(igd);
}

/* --- its description ------------------------------------------------------------------ */

static bool description_get(const char *url, unsigned zone, struct IGDdatas *ret)
{
    char source[WORDS_SIZE] = "";
    int size = 0, status = 0;
    char *xml = miniwget_getaddr(url, &size, source, (int)sizeof source, zone, &status);
    bool is_there = xml && size > 0 && status == HTTP_OK;
    *ret = (struct IGDdatas){.level = 0};
    if (is_there)
        parserootdesc(xml, size, ret);
    free(xml);
    return is_there;
}

static bool device_try(const char *url, unsigned zone, int family, struct igd *ret)
{
    if (!description_get(url, zone, &ret->data) ||
        !(family == 4 ? is_connection(&ret->data.first) : is_firewall(&ret->data.IPv6FC)))
        return false;

    GetUPNPUrls(&ret->urls, &ret->data, url, zone);
    if (!is_reachable(family == 4 ? ret->urls.controlURL : ret->urls.controlURL_6FC)) {
        FreeUPNPUrls(&ret->urls);
        return false;
    }
    snprintf(ret->url, sizeof ret->url, "%s", url);
    ret->is_connected = true;
    if (family == 4)
        connection_choose(ret, zone);
    return true;
}

/* --- discovery ------------------------------------------------------------------------ */

struct discovery {
    int family;
    unsigned zone;
    struct igd *igd;
    bool is_found;
    size_t seen_count, ignored;
    char seen[SEEN_MAX][SSDP_URL_SIZE]; /* each is tried once */
};

static bool device_found(void *ctx, const struct address *from, const char *url)
{
    struct discovery *discovery = ctx;
    for (size_t i = 0; i < discovery->seen_count; i++)
        if (strcmp(discovery->seen[i], url) == 0)
            return false;
    if (discovery->seen_count == SEEN_MAX)
        return false;

    snprintf(discovery->seen[discovery->seen_count++], SSDP_URL_SIZE, "%s", url);
    if (neighbourhood_is_told_by(from, url))
        discovery->is_found =
            device_try(url, discovery->zone, discovery->family, discovery->igd);
    else
        discovery->ignored++;
    return discovery->is_found;
}

bool igd_find(const struct request *request, struct igd *ret, size_t *ret_ignored)
{
    unsigned interface = neighbourhood_interface();
    struct discovery discovery = {
        .family = request->family,
        .zone = request->family == 6 ? interface : 0,
        .igd = ret,
    };
    ssdp_search(&request->local, interface, request->has_gateway ? &request->gateway : NULL,
                device_found, &discovery);
    *ret_ignored = discovery.ignored;
    return discovery.is_found;
}

void igd_done(struct igd *igd)
{
    FreeUPNPUrls(&igd->urls);
}
