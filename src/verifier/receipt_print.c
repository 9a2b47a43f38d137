/* SPDX-License-Identifier: MIT */
#include "verifier/receipt_print.h"

#include "base/text.h"

#include <string.h>
#include <time.h>

#define TIME_SIZE 32

static const char *time_text(int64_t seconds, char ret[TIME_SIZE])
{
    struct tm parts;
    time_t time = (time_t)seconds;
    if (!gmtime_r(&time, &parts) ||
        strftime(ret, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        ret[0] = '\0';
    return ret;
}

static void why_put(const struct receipt_result *result, struct text *text)
{
    if (result->fault == RECEIPT_FAULT_CLAIM && result->receipt.claim)
        text_printf(text, "its claim %s is missing or wrong", result->receipt.claim);
    else
        text_append_str(text, receipt_fault_sentence(result->fault));
}

/* --- text ----------------------------------------------------------------------------- */

static void row_put(const char *name, const char *value, struct text *text)
{
    if (value[0])
        text_printf(text, "  %-12s %s\n", name, value);
}

static void claims_put(const struct receipt *receipt, struct text *text)
{
    row_put("for", receipt->for_text, text);
    for (enum receipt_list list = 0; list < RECEIPT_LIST_COUNT; list++)
        row_put(receipt_list_name(list), receipt->lists[list], text);
    row_put("seen from", receipt->vantages, text);
    row_put("key", receipt->key_id, text);
}

void receipt_print_text(const struct receipt_result *result, struct text *text)
{
    static const char *const words[] = {
        [RECEIPT_VALID] = "valid",
        [RECEIPT_EXPIRED] = "expired",
        [RECEIPT_REFUSED] = "refused",
        [RECEIPT_UNVERIFIED] = "not verified",
    };
    const struct receipt *receipt = &result->receipt;
    char address[ADDRESS_TEXT_SIZE], from[TIME_SIZE], until[TIME_SIZE];
    text_printf(text, "%s: ", words[result->status]);
    if (result->status == RECEIPT_REFUSED)
        why_put(result, text);
    if (result->status == RECEIPT_REFUSED && result->has_claims)
        text_append_str(text, "; ");
    if (result->has_claims)
        text_printf(text, "%s about %s, from %s until %s", receipt->issuer,
                    address_format(&receipt->target, address),
                    time_text(receipt->issued, from), time_text(receipt->expires, until));
    text_append_str(text, "\n");
    if (result->has_claims)
        claims_put(receipt, text);
}

/* --- JSON ----------------------------------------------------------------------------- */

static void member_put(const char *name, const char *value, struct text *text)
{
    text_printf(text, "\"%s\": ", name);
    if (value[0])
        text_append_json(text, value, strlen(value));
    else
        text_append_str(text, "null");
    text_append_str(text, ", ");
}

static void names_put(const char *names, struct text *text)
{
    text_append_str(text, "\"vantages\": [");
    while (*names) {
        size_t len = strcspn(names, ",");
        text_printf(text, "\"%.*s\"%s", (int)len, names, names[len] ? ", " : "");
        names += len + (names[len] == ',');
    }
    text_append_str(text, "]");
}

static void object_put(const struct receipt *receipt, struct text *text)
{
    char buffer[ADDRESS_TEXT_SIZE > TIME_SIZE ? ADDRESS_TEXT_SIZE : TIME_SIZE];
    text_append_str(text, "{");
    member_put("issuer", receipt->issuer, text);
    member_put("key", receipt->key_id, text);
    member_put("about", address_format(&receipt->target, buffer), text);
    member_put("for", receipt->for_text, text);
    member_put("from", time_text(receipt->issued, buffer), text);
    member_put("until", time_text(receipt->expires, buffer), text);
    for (enum receipt_list list = 0; list < RECEIPT_LIST_COUNT; list++)
        text_printf(text, "\"%s\": \"%s\", ", receipt_list_name(list),
                    receipt->lists[list]);
    names_put(receipt->vantages, text);
    text_append_str(text, "}");
}

static void result_put(const struct receipt_result *result, struct text *text)
{
    static const char *const words[] = {
        [RECEIPT_VALID] = "valid",
        [RECEIPT_EXPIRED] = "expired",
        [RECEIPT_REFUSED] = "refused",
        [RECEIPT_UNVERIFIED] = "unverified",
    };
    AUTO_TEXT why = text_up_to(256);
    if (result->fault != RECEIPT_FAULT_NONE)
        why_put(result, &why);
    text_append_str(text, "{");
    member_put("status", words[result->status], text);
    member_put("code", receipt_fault_code(result->fault), text);
    member_put("message", why.data, text);
    text_append_str(text, "\"receipt\": ");
    if (result->has_claims)
        object_put(&result->receipt, text);
    else
        text_append_str(text, "null");
    text_append_str(text, "}");
}

void receipt_print_json(const struct receipt_result *results, size_t count,
                        struct text *text)
{
    text_append_str(text, "{\"version\": 1, \"receipts\": [");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text_append_str(text, ", ");
        result_put(&results[i], text);
    }
    text_append_str(text, "]}\n");
}
