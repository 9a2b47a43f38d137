/* SPDX-License-Identifier: MIT */
#include "verifier/receipt_run.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "verifier/lockdown.h"
#include "verifier/receipt_keys_find.h"
#include "verifier/receipt_print.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILE_MAX     (8u << 20)
#define RECEIPTS_MAX 256
#define SPACES       " \t\r\n"
#define KEYS_PATH    "/.well-known/jwks.json" /* of an issuer */

struct run {
    const struct arguments *arguments; /* borrowed */
    struct receipt_key_set keys;       /* with --jwks */
    char *issuer;                      /* owned; NULL: any */
    size_t count;
    struct receipt_result results[RECEIPTS_MAX];
};

/* Whether what it says may be shown. One that was changed, or that has no valid signature,
 * could claim anything. */
static bool may_show(enum receipt_fault fault)
{
    return fault == RECEIPT_FAULT_NONE || fault == RECEIPT_FAULT_ISSUER ||
           fault == RECEIPT_FAULT_FOR || fault == RECEIPT_FAULT_EARLY ||
           fault == RECEIPT_FAULT_EXPIRED;
}

/* The keys at an issuer's URL are that issuer's, and not good for what others are said to
 * have stated. */
static bool issuer_find(struct run *run, struct err *err)
{
    const char *text = run->arguments->issuer;
    const char *jwks = run->arguments->jwks;
    size_t len = text ? strlen(text) : 0;
    if (!text && jwks && strstr(jwks, "://") && strlen(jwks) > strlen(KEYS_PATH) &&
        strcmp(jwks + strlen(jwks) - strlen(KEYS_PATH), KEYS_PATH) == 0) {
        text = jwks;
        len = strlen(jwks) - strlen(KEYS_PATH);
    }
    run->issuer = text ? strndup(text, len) : NULL;
    return !text || run->issuer || err_sys(err, ENOMEM, "receipts");
}

static struct receipt_result judge(const struct run *run, const char *text, size_t len)
{
    const struct arguments *arguments = run->arguments;
    struct receipt_result result = {0};
    enum receipt_fault fault =
        receipt_read(text, len, arguments->jwks ? &run->keys : NULL, &result.receipt);
    if (fault == RECEIPT_FAULT_NONE)
        fault =
            receipt_judge(&result.receipt, time(NULL), run->issuer, arguments->for_text);
    result.fault = fault;
    result.has_claims = may_show(fault);
    if (fault == RECEIPT_FAULT_NONE)
        result.status = arguments->jwks ? RECEIPT_VALID : RECEIPT_UNVERIFIED;
    else if (fault == RECEIPT_FAULT_EXPIRED && arguments->jwks)
        result.status = RECEIPT_EXPIRED;
    else
        result.status = RECEIPT_REFUSED;
    return result;
}

static bool judge_all(struct run *run, const char *text, struct err *err)
{
    for (text += strspn(text, SPACES); *text; text += strspn(text, SPACES)) {
        size_t len = strcspn(text, SPACES);
        if (run->count == RECEIPTS_MAX)
            return err_set(err, ERR_SYSTEM, "%.150s has more than %d receipts",
                           run->arguments->receipt, RECEIPTS_MAX);
        run->results[run->count++] = judge(run, text, len);
        text += len;
    }
    return run->count > 0 ||
           err_set(err, ERR_SYSTEM, "%.150s has no receipt", run->arguments->receipt);
}

static bool file_judge(struct run *run, struct err *err)
{
    char *text = malloc(FILE_MAX + 1);
    size_t len;
    if (!text)
        return err_sys(err, ENOMEM, "receipts");
    bool is_fine = fd_read_file(run->arguments->receipt, text, FILE_MAX, &len, err);
    if (is_fine) {
        text[len] = '\0'; /* a NUL before the end is in a receipt, which it makes wrong */
        for (size_t i = 0; i < len; i++)
            text[i] = text[i] ? text[i] : '?';
        is_fine = judge_all(run, text, err);
    }
    free(text);
    return is_fine;
}

static bool print(const struct run *run, struct err *err)
{
    AUTO_TEXT text = text_up_to(4 * FILE_MAX);
    if (run->arguments->is_json)
        receipt_print_json(run->results, run->count, &text);
    for (size_t i = 0; i < run->count && !run->arguments->is_json; i++)
        receipt_print_text(&run->results[i], &text);
    if (text.failed)
        return err_sys(err, ENOMEM, "receipts");
    return (fwrite(text.data, 1, text.len, stdout) == text.len && fflush(stdout) == 0) ||
           err_sys(err, errno, "standard output");
}

static enum status status_of(const struct run *run)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < run->count; i++) {
        if (run->results[i].status == RECEIPT_REFUSED ||
            run->results[i].status == RECEIPT_EXPIRED)
            return STATUS_NOT_OK;
        if (run->results[i].status == RECEIPT_UNVERIFIED)
            status = STATUS_NO_RECEIPT;
    }
    if (status == STATUS_NO_RECEIPT)
        fputs("port-verifier: the signatures were not verified, and anyone could have "
              "written this: give the keys of an issuer that you trust with --jwks\n",
              stderr);
    return status;
}

static enum status keys_missing(const struct err *why, struct err *err)
{
    if (why->kind != ERR_SYSTEM) {
        fprintf(stderr, "port-verifier: --jwks %s\n", why->message);
        return STATUS_UNKNOWN;
    }
    err_set(err, ERR_SYSTEM, "--jwks %s", why->message);
    return STATUS_SYSTEM;
}

enum status receipt_run(const struct arguments *arguments, struct err *err)
{
    struct err why;
    struct run *run = calloc(1, sizeof *run);
    if (!run || !lockdown_apply(err)) {
        free(run);
        if (!run)
            err_sys(err, ENOMEM, "receipts");
        return STATUS_SYSTEM;
    }

    run->arguments = arguments;
    enum status status = STATUS_SYSTEM;
    if (arguments->jwks && !receipt_keys_find(arguments, &run->keys, &why))
        status = keys_missing(&why, err);
    else if (issuer_find(run, err) && file_judge(run, err) && print(run, err))
        status = status_of(run);
    for (size_t i = 0; i < run->count; i++)
        receipt_done(&run->results[i].receipt);
    receipt_key_set_done(&run->keys);
    free(run->issuer);
    free(run);
    return status;
}
