/* SPDX-License-Identifier: MIT */
#include "verifier/fetch.h"

#include "base/err.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX 2000

static bool part_is_set(CURLU *parts, CURLUPart part)
{
    char *text = NULL;
    bool is_set = curl_url_get(parts, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return is_set;
}

static int literal_family(const char *host)
{
    struct address address;
    size_t len = strlen(host);
    bool has_brackets = len > 2 && host[0] == '[' && host[len - 1] == ']';
    if (!address_parse(host + has_brackets, len - 2 * has_brackets, &address, NULL))
        return 0;
    return address_family_number(&address);
}

static bool parts_check(CURLU *parts, const char *text, int *ret_literal_family,
                        struct err *err)
{
    /* The guess of a scheme is not wanted: "host:7466" would have the scheme "host". */
    if (!strstr(text, "://") ||
        curl_url_set(parts, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return err_set(err, ERR_INVALID,
                       "\"%.200s\" is no URL: write http://HOST:PORT or "
                       "https://HOST",
                       text);

    char *scheme = NULL;
    char *host = NULL;
    curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(parts, CURLUPART_HOST, &host, 0);
    bool is_http = scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    int family = host ? literal_family(host) : 0;
    curl_free(scheme);
    curl_free(host);

    if (!is_http)
        return err_set(err, ERR_INVALID, "\"%.200s\": only http and https are spoken",
                       text);
    if (part_is_set(parts, CURLUPART_USER) || part_is_set(parts, CURLUPART_PASSWORD) ||
        part_is_set(parts, CURLUPART_QUERY) || part_is_set(parts, CURLUPART_FRAGMENT))
        return err_set(err, ERR_INVALID,
                       "\"%.200s\": a checker's URL has no user, query or fragment", text);
    *ret_literal_family = family;
    return true;
}

bool fetch_url_check(const char *text, char **ret_url, int *ret_literal_family,
                     struct err *err)
{
    if (strlen(text) > URL_MAX)
        return err_set(err, ERR_INVALID, "a URL of more than %d bytes", URL_MAX);

    CURLU *parts = curl_url();
    if (!parts)
        return err_sys(err, ENOMEM, "libcurl");
    bool is_fine = parts_check(parts, text, ret_literal_family, err);
    curl_url_cleanup(parts);
    if (!is_fine)
        return false;

    char *url = strdup(text);
    if (!url)
        return err_sys(err, ENOMEM, "arguments");
    for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
        url[len - 1] = '\0';
    *ret_url = url;
    return true;
}
