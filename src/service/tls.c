/* SPDX-License-Identifier: MIT */
#include "service/tls.h"

#include "base/err.h"
#include "base/fd.h"
#include "settings/settings.h"

#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX (256 * 1024)

static bool pem_read(const char *setting, const char *path, char **ret, struct err *err)
{
    char *text = malloc(PEM_MAX);
    if (!text)
        return err_set(err, ERR_SYSTEM, "out of memory");

    unsigned long len;
    if (!fd_read_file(path, text, PEM_MAX - 1, &len, err)) {
        free(text);
        err_prefix(err, "%s", setting);
        if (err)
            err->kind = ERR_INVALID;
        return false;
    }
    text[len] = '\0';
    char *fitting = realloc(text, len + 1);
    *ret = fitting ? fitting : text;
    return true;
}

static bool pair_check(const struct settings *settings, const struct tls *tls,
                       struct err *err)
{
    gnutls_certificate_credentials_t credentials;
    if (gnutls_certificate_allocate_credentials(&credentials) != GNUTLS_E_SUCCESS)
        return err_set(err, ERR_SYSTEM, "out of memory");

    gnutls_datum_t cert = {(unsigned char *)tls->cert, (unsigned)strlen(tls->cert)};
    gnutls_datum_t key = {(unsigned char *)tls->key, (unsigned)strlen(tls->key)};
    int result =
        gnutls_certificate_set_x509_key_mem(credentials, &cert, &key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    if (result < 0)
        return err_set(
            err, ERR_INVALID,
            "PORT_CHECKER_TLS_CERT=\"%.90s\" and PORT_CHECKER_TLS_KEY=\"%.90s\": "
            "accepted are a certificate and its private key, not encrypted, in PEM: %s",
            settings->tls_cert, settings->tls_key, gnutls_strerror(result));
    return true;
}

bool tls_load(const struct settings *settings, struct tls *ret, struct err *err)
{
    struct tls tls = {0};
    if (settings->tls_cert[0] == '\0') {
        *ret = tls;
        return true;
    }
    if (!pem_read("PORT_CHECKER_TLS_CERT", settings->tls_cert, &tls.cert, err) ||
        !pem_read("PORT_CHECKER_TLS_KEY", settings->tls_key, &tls.key, err) ||
        !pair_check(settings, &tls, err)) {
        tls_done(&tls);
        return false;
    }
    *ret = tls;
    return true;
}

void tls_done(struct tls *tls)
{
    if (tls->key)
        explicit_bzero(tls->key, strlen(tls->key));
    free(tls->cert);
    free(tls->key);
    *tls = (struct tls){0};
}
