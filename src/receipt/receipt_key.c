/* SPDX-License-Identifier: MIT */
#include "receipt/receipt_key.h"

#include "base/base64url.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* GnuTLS's API is not const-correct. */
static gnutls_datum_t datum_of(const void *bytes, size_t len)
{
    union {
        const void *from;
        void *to;
    } data = {.from = bytes};
    return (gnutls_datum_t){data.to, (unsigned)len};
}

static bool fail(struct err *err, int result)
{
    return err_set(err, result == GNUTLS_E_MEMORY_ERROR ? ERR_SYSTEM : ERR_INVALID, "%s",
                   gnutls_strerror(result));
}

static bool key_text(const uint8_t bytes[RECEIPT_KEY_BYTES],
                     char ret[RECEIPT_KEY_TEXT_SIZE])
{
    AUTO_TEXT text = text_up_to(RECEIPT_KEY_TEXT_SIZE - 1);
    base64url_append(&text, bytes, RECEIPT_KEY_BYTES);
    if (!text.failed)
        memcpy(ret, text.data, RECEIPT_KEY_TEXT_SIZE);
    return !text.failed;
}

/* RFC 7638: the required members in the order of their names, without spaces. */
static bool thumbprint_make(const char *x, char ret[RECEIPT_KEY_TEXT_SIZE])
{
    char jwk[128];
    uint8_t digest[RECEIPT_KEY_BYTES];
    int len =
        snprintf(jwk, sizeof jwk, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);
    return gnutls_hash_fast(GNUTLS_DIG_SHA256, jwk, (size_t)len, digest) == 0 &&
           key_text(digest, ret);
}

/* Fills in the texts of a key whose `public` is there. */
static bool texts_fill(struct receipt_key *key, struct err *err)
{
    gnutls_ecc_curve_t curve;
    gnutls_datum_t x = {0};
    if (gnutls_pubkey_get_pk_algorithm(key->public, NULL) != GNUTLS_PK_EDDSA_ED25519)
        return err_set(
            err, ERR_INVALID, "it is a key of another algorithm (%s)",
            gnutls_pk_get_name(
                (gnutls_pk_algorithm_t)gnutls_pubkey_get_pk_algorithm(key->public, NULL)));
    int result = gnutls_pubkey_export_ecc_raw2(key->public, &curve, &x, NULL, 0);
    if (result < 0)
        return fail(err, result);
    bool is_fine = x.size == RECEIPT_KEY_BYTES && key_text(x.data, key->x) &&
                   thumbprint_make(key->x, key->id);
    gnutls_free(x.data);
    return is_fine || err_sys(err, ENOMEM, "key");
}

static bool private_read(struct receipt_key *key, const gnutls_datum_t *pem,
                         struct err *err)
{
    int result = gnutls_privkey_init(&key->private);
    if (result >= 0)
        result =
            gnutls_privkey_import_x509_raw(key->private, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (result >= 0)
        result = gnutls_pubkey_import_privkey(key->public, key->private, 0, 0);
    return result >= 0 || fail(err, result);
}

static bool pem_read(struct receipt_key *key, const char *pem, struct err *err)
{
    const gnutls_datum_t text = datum_of(pem, strlen(pem));
    int result = gnutls_pubkey_init(&key->public);
    if (result < 0)
        return fail(err, result);
    if (strstr(pem, "-----BEGIN PUBLIC KEY-----") == NULL)
        return private_read(key, &text, err);
    result = gnutls_pubkey_import(key->public, &text, GNUTLS_X509_FMT_PEM);
    return result >= 0 || fail(err, result);
}

static bool take(struct receipt_key *key, bool is_fine, struct receipt_key *ret)
{
    if (is_fine)
        *ret = *key;
    else
        receipt_key_done(key);
    return is_fine;
}

bool receipt_key_read(const char *pem, struct receipt_key *ret, struct err *err)
{
    struct receipt_key key = {0};
    return take(&key, pem_read(&key, pem, err) && texts_fill(&key, err), ret);
}

bool receipt_key_from_public(const uint8_t bytes[RECEIPT_KEY_BYTES],
                             struct receipt_key *ret, struct err *err)
{
    struct receipt_key key = {0};
    const gnutls_datum_t x = datum_of(bytes, RECEIPT_KEY_BYTES);
    int result = gnutls_pubkey_init(&key.public);
    if (result >= 0)
        result =
            gnutls_pubkey_import_ecc_raw(key.public, GNUTLS_ECC_CURVE_ED25519, &x, NULL);
    bool is_fine = result >= 0 ? texts_fill(&key, err) : fail(err, result);
    return take(&key, is_fine, ret);
}

void receipt_key_done(struct receipt_key *key)
{
    if (key->public)
        gnutls_pubkey_deinit(key->public);
    if (key->private)
        gnutls_privkey_deinit(key->private);
    *key = (struct receipt_key){0};
}

static bool pem_export(gnutls_x509_privkey_t key, char **ret, struct err *err)
{
    gnutls_datum_t pem = {0};
    int result = gnutls_x509_privkey_generate(key, GNUTLS_PK_EDDSA_ED25519, 0, 0);
    if (result >= 0)
        result = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
                                                   GNUTLS_PKCS_PLAIN, &pem);
    if (result < 0)
        return err_set(err, ERR_SYSTEM, "%s", gnutls_strerror(result));

    *ret = strndup((const char *)pem.data, pem.size);
    gnutls_memset(pem.data, 0, pem.size);
    gnutls_free(pem.data);
    return *ret || err_sys(err, ENOMEM, "key");
}

bool receipt_key_generate(char **ret_pem, char ret_id[RECEIPT_KEY_TEXT_SIZE],
                          struct err *err)
{
    gnutls_x509_privkey_t private;
    struct receipt_key key;
    char *pem = NULL;
    int result = gnutls_x509_privkey_init(&private);
    if (result < 0)
        return err_set(err, ERR_SYSTEM, "%s", gnutls_strerror(result));

    bool is_fine = pem_export(private, &pem, err);
    gnutls_x509_privkey_deinit(private);
    if (!is_fine || !receipt_key_read(pem, &key, err)) {
        free(pem);
        return false;
    }
    memcpy(ret_id, key.id, RECEIPT_KEY_TEXT_SIZE);
    receipt_key_done(&key);
    *ret_pem = pem;
    return true;
}

bool receipt_key_sign(const struct receipt_key *key, const char *text, size_t len,
                      uint8_t ret[RECEIPT_SIGNATURE_BYTES], struct err *err)
{
    const gnutls_datum_t data = datum_of(text, len);
    gnutls_datum_t signature = {0};
    int result = gnutls_privkey_sign_data2(key->private, GNUTLS_SIGN_EDDSA_ED25519, 0,
                                           &data, &signature);
    bool is_fine = result >= 0 && signature.size == RECEIPT_SIGNATURE_BYTES;
    if (is_fine)
        memcpy(ret, signature.data, RECEIPT_SIGNATURE_BYTES);
    gnutls_free(signature.data);
    return is_fine || err_set(err, ERR_SYSTEM, "signing: %s", gnutls_strerror(result));
}

bool receipt_key_verify(const struct receipt_key *key, const char *text, size_t len,
                        const uint8_t signature[RECEIPT_SIGNATURE_BYTES])
{
    const gnutls_datum_t data = datum_of(text, len);
    const gnutls_datum_t signed_with = datum_of(signature, RECEIPT_SIGNATURE_BYTES);
    return gnutls_pubkey_verify_data2(key->public, GNUTLS_SIGN_EDDSA_ED25519, 0, &data,
                                      &signed_with) >= 0;
}
