/* SPDX-License-Identifier: MIT */
#include "verifier/fetch.h"

#include "base/err.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX      2000
#define DEFAULT_PORT "7466"

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

static bool is_scheme(CURLU *parts)
{
    char *scheme = NULL;
    curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
    bool is_http = scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    return is_http;
}

/* `text` is the argument, and `url` the URL made of it. */
static bool parts_check(CURLU *parts, const char *url, const char *text,
                        int *ret_literal_family, struct err *err)
{
    if (curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return err_set(err, ERR_INVALID,
                       "\"%.120s\" is not a valid URL or host name; examples: "
                       "checker.example, http://checker.example:7466",
                       text);
    if (!is_scheme(parts))
        return err_set(err, ERR_INVALID,
                       "\"%.120s\": a checker's URL must begin with http:// or https://",
                       text);
    if (part_is_set(parts, CURLUPART_USER) || part_is_set(parts, CURLUPART_PASSWORD) ||
        part_is_set(parts, CURLUPART_QUERY) || part_is_set(parts, CURLUPART_FRAGMENT))
        return err_set(
            err, ERR_INVALID,
            "\"%.120s\": a checker's URL must not have a user name, query or fragment",
            text);

    char *host = NULL;
    curl_url_get(parts, CURLUPART_HOST, &host, 0);
    *ret_literal_family = host ? literal_family(host) : 0;
    curl_free(host);
    return true;
}

/* Refuses mistakes that look like a host: "http:/host", "7466,50800-50900", "-". */
static bool bare_check(const char *text, struct err *err)
{
    static const char *const schemes[] = {"http:", "https:"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i]);
        if (strncmp(text, schemes[i], len) == 0)
            return err_set(err, ERR_INVALID,
                           "\"%.100s\" is not a URL; did you mean %s//%.100s?", text,
                           schemes[i], text + len + strspn(text + len, "/"));
    }
    if (text[0] && strspn(text, "0123456789,-") == strlen(text))
        return err_set(err, ERR_INVALID,
                       "\"%.100s\" is not a checker; did you mean --ports %.100s?", text,
                       text);
    return true;
}

static char *without_slash(char *url)
{
    for (size_t len = url ? strlen(url) : 0; len > 0 && url[len - 1] == '/'; len--)
        url[len - 1] = '\0';
    return url;
}

/* "https://HOST"; an IPv6 address gets its brackets. */
static char *url_of_bare(const char *text)
{
    char *url;
    struct address address;
    bool is_six = address_parse(text, strlen(text), &address, NULL) &&
                  address_family_number(&address) == 6;
    int len = asprintf(&url, "https://%s%s%s", is_six ? "[" : "", text, is_six ? "]" : "");
    return len < 0 ? NULL : url;
}

/* "http://HOST:7466", or with the port that it has. */
static char *other_url_of(CURLU *parts)
{
    char *text = NULL;
    if (!part_is_set(parts, CURLUPART_PORT))
        curl_url_set(parts, CURLUPART_PORT, DEFAULT_PORT, 0);
    curl_url_set(parts, CURLUPART_SCHEME, "http", 0);
    curl_url_get(parts, CURLUPART_URL, &text, 0);
    char *url = text ? strdup(text) : NULL;
    curl_free(text);
    return url;
}

bool fetch_url_check(const char *text, char **ret_url, char **ret_other_url,
                     int *ret_literal_family, struct err *err)
{
    bool is_bare = !strstr(text, "://");
    if (strlen(text) > URL_MAX)
        return err_set(err, ERR_INVALID, "a checker's URL must not be longer than %d bytes",
                       URL_MAX);
    if (is_bare && !bare_check(text, err))
        return false;

    CURLU *parts = curl_url();
    char *url = is_bare ? url_of_bare(text) : strdup(text);
    char *other = NULL;
    bool is_fine = parts && url ? parts_check(parts, url, text, ret_literal_family, err)
                                : err_sys(err, ENOMEM, "arguments");
    if (is_fine && is_bare)
        is_fine = (other = other_url_of(parts)) || err_sys(err, ENOMEM, "arguments");
    curl_url_cleanup(parts);
    if (!is_fine) {
        free(url);
        return false;
    }
    *ret_url = without_slash(url);
    *ret_other_url = without_slash(other);
    return true;
}
