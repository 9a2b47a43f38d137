/* SPDX-License-Identifier: MIT */
#include "service/receipt_keys.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/file_text.h"
#include "receipt/receipt_key.h"
#include "receipt/receipts.h"
#include "settings/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The key in the file that this setting names. */
static bool key_load(const char *setting, const char *path, bool is_private,
                     struct receipt_key *ret, struct err *err)
{
    struct receipt_key key = {0};
    struct err reason;
    char *pem;
    if (!file_text_read(setting, path, &pem, err))
        return false;

    bool is_read = receipt_key_read(pem, &key, &reason);
    file_text_forget(pem);
    if (is_read && (key.private || !is_private)) {
        *ret = key;
        return true;
    }
    if (is_read)
        err_set(&reason, ERR_INVALID, "it is a public key");
    receipt_key_done(&key);
    return err_set(err, reason.kind,
                   "%s=\"%.90s\": it must be an unencrypted Ed25519 %s key in PEM: %.80s",
                   setting, path, is_private ? "private" : "private or public",
                   reason.message);
}

bool receipt_keys_load(const struct settings *settings, struct receipts **ret,
                       struct err *err)
{
    struct receipt_key key = {0}, other = {0};
    if (settings->receipt_key[0] == '\0') {
        *ret = NULL;
        return true;
    }
    if (!key_load("PORT_CHECKER_RECEIPT_KEY", settings->receipt_key, true, &key, err))
        return false;
    if (settings->receipt_other_key[0] != '\0' &&
        !key_load("PORT_CHECKER_RECEIPT_OTHER_KEY", settings->receipt_other_key, false,
                  &other, err)) {
        receipt_key_done(&key);
        return false;
    }
    return receipts_new(settings->receipt_issuer, &key, &other, ret, err);
}

/* The file has the whole key or does not exist. */
static bool key_write(const char *path, const char *pem, struct err *err)
{
    AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_set(err, ERR_INVALID,
                       "%.200s exists, and is not overwritten: name a new file", path);
    if (fd < 0)
        return err_sys(err, errno, "%.200s", path);
    if (fd_write_all(fd, pem, strlen(pem)) && fsync(fd) == 0)
        return true;
    err_sys(err, errno, "%.200s", path);
    unlink(path);
    return false;
}

bool receipt_keys_make(const char *path, FILE *out, struct err *err)
{
    char id[RECEIPT_KEY_TEXT_SIZE];
    char *pem;
    if (!receipt_key_generate(&pem, id, err))
        return false;

    bool is_written = key_write(path, pem, err);
    file_text_forget(pem);
    if (is_written)
        fprintf(out, "%s has a new key with the id %s\n", path, id);
    return is_written;
}
