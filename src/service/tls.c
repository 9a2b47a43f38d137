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

/* The priority string is the reason if there is one, otherwise the certificate. */
static bool pair_try(const struct settings *settings, const struct tls_identity *identity,
                     struct err *err)
{
    struct err reason;
    if (tls_identity_try(identity, settings->tls_priority, &reason))
        return true;
    if (settings->tls_priority[0] == '\0')
        return err_set(err, reason.kind,
                       "PORT_CHECKER_TLS_CERT=\"%.90s\": no client can use this kind of "
                       "certificate: %.80s; it must have an RSA, ECDSA or Ed25519 key that "
                       "may sign",
                       settings->tls_cert, reason.message);
    return err_set(err, reason.kind,
                   "PORT_CHECKER_TLS_PRIORITY=\"%.90s\": no client can agree on it with "
                   "this certificate: %.90s; an example: " SETTINGS_TLS_PRIORITY_EXAMPLE,
                   settings->tls_priority, reason.message);
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
    if (is_loaded && !pair_try(settings, *ret, err)) {
        *ret = tls_identity_free(*ret);
        return false;
    }
    return is_loaded;
}
