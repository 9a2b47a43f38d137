/* SPDX-License-Identifier: MIT */
#include "verifier/fetch.h"

#include "base/err.h"
#include "base/libc.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool fetch_ca_check(const char *path, struct err *err)
{
    struct stat status;
    if (stat(path, &status) != 0 || access(path, R_OK) != 0)
        return err_set(err, ERR_INVALID, "%s", libc_error_text(errno));
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_INVALID, "not a regular file");

    /* As libcurl will read it. */
    gnutls_certificate_credentials_t credentials;
    if (gnutls_certificate_allocate_credentials(&credentials) != GNUTLS_E_SUCCESS)
        return err_sys(err, ENOMEM, "GnuTLS");
    int count =
        gnutls_certificate_set_x509_trust_file(credentials, path, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    return count > 0 || err_set(err, ERR_INVALID, "no certificate can be read");
}
