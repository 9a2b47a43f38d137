/* SPDX-License-Identifier: MIT */
#include "verifier/nonce_file.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "verifier/output.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#define STATE_VERSION 1

bool nonce_make(struct pcp_nonce *ret, struct err *err)
{
    return gnutls_rnd(GNUTLS_RND_KEY, ret->bytes, sizeof ret->bytes) == GNUTLS_E_SUCCESS ||
           err_sys(err, EIO, "random numbers");
}

static bool digits_read(const char *digits, struct pcp_nonce *ret)
{
    struct pcp_nonce nonce = {0};
    if (strlen(digits) != 2 * sizeof nonce.bytes)
        return false;
    for (size_t i = 0; i < 2 * sizeof nonce.bytes; i++) {
        int value = text_hex_value(digits[i]);
        if (value < 0)
            return false;
        nonce.bytes[i / 2] = (uint8_t)(nonce.bytes[i / 2] << 4 | value);
    }
    *ret = nonce;
    return true;
}

bool nonce_parse(const char *text, size_t len, struct pcp_nonce *ret, struct err *err)
{
    int version;
    const char *digits;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    bool is_fine = true;
    if (!json_is_object(json))
        is_fine = err_set(err, ERR_INVALID, "this is not a state file of port-verifier");
    else if (json_unpack(json, "{s:i}", "version", &version) != 0 ||
             version != STATE_VERSION)
        is_fine = err_set(err, ERR_INVALID, "\"version\" must be %d", STATE_VERSION);
    else if (json_unpack(json, "{s:s}", "nonce", &digits) != 0 || !digits_read(digits, ret))
        is_fine = err_set(err, ERR_INVALID, "\"nonce\" must be %zu hexadecimal digits",
                          2 * sizeof ret->bytes);
    json_decref(json);
    return is_fine;
}

static bool file_create(const char *path, struct pcp_nonce *ret, struct err *err)
{
    struct pcp_nonce nonce;
    AUTO_TEXT text = text_up_to(NONCE_FILE_MAX);
    if (!nonce_make(&nonce, err))
        return false;
    text_printf(&text, "{\"version\": %d, \"nonce\": \"", STATE_VERSION);
    for (size_t i = 0; i < sizeof nonce.bytes; i++)
        text_printf(&text, "%02x", nonce.bytes[i]);
    text_append_str(&text, "\"}\n");
    if (text.failed)
        return err_sys(err, ENOMEM, "%s", path);
    if (!output_create(path, text.data, text.len, err))
        return false;
    *ret = nonce;
    return true;
}

bool nonce_file_load(const char *path, struct pcp_nonce *ret, struct err *err)
{
    char text[NONCE_FILE_MAX];
    size_t len;
    struct err reason;
    struct stat status;
    if (stat(path, &status) == 0 && S_ISFIFO(status.st_mode)) /* it may never be written */
        return err_set(err, ERR_INVALID, "%s: this is a pipe, not a state file", path);
    if (fd_read_file(path, text, sizeof text, &len, &reason))
        return nonce_parse(text, len, ret, err) || err_prefix(err, "%s", path);
    if (reason.kind == ERR_LIMIT)
        return err_set(err, ERR_INVALID, "%s: this is not a state file of port-verifier",
                       path);
    if (reason.errnum == ENOENT)
        return file_create(path, ret, err);
    return err_sys(err, reason.errnum, "%s", path);
}
