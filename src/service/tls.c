/* SPDX-License-Identifier: MIT */
#include "service/tls.h"

#include "base/err.h"
#include "base/file_text.h"
#include "base/tls_identity.h"
#include "settings/settings.h"

static bool pair_load(const struct settings *settings, const char *cert, const char *key,
                      struct tls_identity **ret, struct err *err)
{
    struct err reason;
    if (tls_identity_new(cert, key, settings->tls_priority, ret, &reason))
        return true;
    return err_set(err, reason.kind,
                   "PORT_CHECKER_TLS_CERT=\"%.90s\" and PORT_CHECKER_TLS_KEY=\"%.90s\": "
                   "they must be a certificate and its unencrypted private key, in PEM: "
                   "%.80s",
                   settings->tls_cert, settings->tls_key, reason.message);
}

static bool priority_check(const char *priority, struct err *err)
{
    struct err reason;
    if (priority[0] == '\0' || tls_priority_check(priority, &reason))
        return true;

    return err_set(
        err, reason.kind,
        "PORT_CHECKER_TLS_PRIORITY=\"%.90s\": GnuTLS does not accept it: %.100s; "
        "an example: " SETTINGS_TLS_PRIORITY_EXAMPLE,
        priority, reason.message);
}

bool tls_load(const struct settings *settings, struct tls_identity **ret, struct err *err)
{
    if (!priority_check(settings->tls_priority, err))
        return false;

    if (settings->tls_cert[0] == '\0') {
        *ret = NULL;
        return true;
    }

    char *cert = NULL, *key = NULL;
    bool is_loaded =
        file_text_read("PORT_CHECKER_TLS_CERT", settings->tls_cert, &cert, err) &&
        file_text_read("PORT_CHECKER_TLS_KEY", settings->tls_key, &key, err) &&
        pair_load(settings, cert, key, ret, err);
    file_text_forget(cert);
    file_text_forget(key);
    return is_loaded;
}
