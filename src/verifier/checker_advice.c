/* SPDX-License-Identifier: MIT */
#include "verifier/checker_advice.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define LATER      "ask again later, or name another checker"
#define IS_CHECKER "look whether its URL is that of a port checker; if so, " LATER

/* clang-format off */
static const char *const of_failure[] = {
    [FAILURE_NONE] = "",
    [FAILURE_NO_NAME] = "look whether its name is spelt right, and whether this machine can "
                        "look names up",
    [FAILURE_NO_FAMILY] = "look whether this machine is online, or name a checker that it "
                          "has a way to",
    [FAILURE_NO_CONNECTION] = "look whether host and port of its URL are right, and whether "
                              "this machine is online; if so, " LATER,
    [FAILURE_TLS] = "look whether its URL says https:// where http:// is spoken, and "
                    "whether something on the way meddles with TLS",
    [FAILURE_TIMEOUT] = "ask again later, give it more time (--timeout), or name another "
                        "checker",
    [FAILURE_BROKEN_OFF] = IS_CHECKER,
    [FAILURE_SERVER_ERROR] = LATER,
    [FAILURE_RATE_LIMITED] = "ask again after the time that it names, or name another "
                             "checker",
    [FAILURE_REFUSED] = "do as it says, or name another checker",
    [FAILURE_NONSENSE] = IS_CHECKER,
    [FAILURE_NO_ADDRESS] = "name the own address with --ip, or another checker",
    [FAILURE_INTERNAL] = "ask again later",
};

static const char *const of_certificate[] = {
    [CERTIFICATE_FINE] = NULL,
    [CERTIFICATE_EXPIRED] = "look whether the clock of this machine is right: if it is, "
                            "name another checker until its operator has renewed it",
    [CERTIFICATE_NOT_YET_VALID] = "look whether the clock of this machine is right: if it "
                                  "is, name another checker until then",
    [CERTIFICATE_OTHER_NAME] = "write its URL with the name that the certificate is for, "
                               "or name another checker",
    [CERTIFICATE_UNTRUSTED] = "if you know who signed the certificate, give the signer's own "
                              "with --ca, otherwise name another checker",
    [CERTIFICATE_NO_STORE] = "give a file of certificates (PEM) with --ca, or install the "
                             "package ca-certificates",
};

static const char *const of_moved = "give the URL that it names";

static const struct {
    unsigned first;
    unsigned last;
    bool is_ip_named; /* only where the address was named with --ip */
    const char *remedy;
} of_status[] = {
    {300, 399, false, IS_CHECKER},
    {403, 403, true, "it does not look at that address for whoever asks from here: ask without "
                     "--ip, or name another checker"},
    {404, 405, false, "look at its URL: give the one under which it has /check-ports, without "
                      "that path"},
};
/* clang-format on */

static const char *remedy_of_refusal(const struct checker_result *result)
{
    if (result->has_moved)
        return of_moved;

    for (size_t i = 0; i < sizeof of_status / sizeof of_status[0]; i++)
        if (result->status >= of_status[i].first && result->status <= of_status[i].last &&
            (result->is_ip_named || !of_status[i].is_ip_named))
            return of_status[i].remedy;
    return of_failure[FAILURE_REFUSED];
}

static const char *remedy_of(const struct checker_result *result)
{
    if (result->failure == FAILURE_TLS && of_certificate[result->certificate])
        return of_certificate[result->certificate];
    if (result->failure == FAILURE_REFUSED)
        return remedy_of_refusal(result);
    return of_failure[result->failure];
}

static bool are_alike(const struct family_report *half, size_t a, size_t b)
{
    return strcmp(remedy_of(&half->checkers[a].result),
                  remedy_of(&half->checkers[b].result)) == 0;
}

static bool is_first_of_its_kind(const struct family_report *half, size_t index)
{
    size_t first = 0;
    while (!are_alike(half, first, index))
        first++;
    return first == index;
}

static void urls_put(const struct family_report *half, size_t first, struct text *text)
{
    for (size_t i = first; i < half->checker_count; i++)
        if (are_alike(half, first, i))
            text_printf(text, "%s%s", i == first ? "" : ", ", half->checkers[i].url);
    text_append_str(text, ": ");
}

void checker_advice_put(const struct family_report *half, struct text *text)
{
    size_t kinds = 0;
    for (size_t i = 0; i < half->checker_count; i++)
        kinds += is_first_of_its_kind(half, i);

    const char *between = "";
    for (size_t i = 0; i < half->checker_count; i++) {
        if (!is_first_of_its_kind(half, i))
            continue;
        text_append_str(text, between);
        if (kinds > 1)
            urls_put(half, i, text);
        text_append_str(text, remedy_of(&half->checkers[i].result));
        between = "; ";
    }
}
