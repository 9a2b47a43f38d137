/* SPDX-License-Identifier: MIT */
#include "vantage/nats_key.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdint.h>
#include <string.h>

#define RAW_LEN     32
#define SEED_BYTES  (2 + RAW_LEN + 2) /* prefixes, seed, checksum */
#define USER_PREFIX (20u << 3)
#define SEED_PREFIX (18u << 3)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* ---- base32 and its checksum (CRC-16/XMODEM) ---------------------------------------- */

static bool base32_read(const char *text, size_t len, uint8_t *ret, size_t size)
{
    uint32_t bits = 0;
    unsigned count = 0;
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        const char *found = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!found)
            return false;
        bits = bits << 5 | (uint32_t)(found - alphabet);
        count += 5;
        if (count < 8)
            continue;
        if (used == size)
            return false;
        count -= 8;
        ret[used++] = (uint8_t)(bits >> count);
    }
    return used == size;
}

static void base32_write(const uint8_t *bytes, size_t len, char *ret)
{
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        for (count += 8; count >= 5;) {
            count -= 5;
            *ret++ = alphabet[bits >> count & 31];
        }
    }
    if (count > 0)
        *ret++ = alphabet[bits << (5 - count) & 31];
    *ret = '\0';
}

static uint16_t checksum(const uint8_t *bytes, size_t len)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint32_t)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
    }
    return (uint16_t)crc;
}

/* ---- the key ------------------------------------------------------------------------ */

/* The public half, by way of the seed's PKCS #8 form (RFC 8410). */
static bool public_of(const uint8_t seed[static RAW_LEN], uint8_t ret[static RAW_LEN])
{
    static const uint8_t head[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                   0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
    uint8_t der[sizeof head + RAW_LEN];
    const gnutls_datum_t text = {der, sizeof der};
    gnutls_datum_t point = {0};
    gnutls_ecc_curve_t curve;
    gnutls_privkey_t key;

    memcpy(der, head, sizeof head);
    memcpy(der + sizeof head, seed, RAW_LEN);
    if (gnutls_privkey_init(&key) < 0)
        return false;
    bool is_made =
        gnutls_privkey_import_x509_raw(key, &text, GNUTLS_X509_FMT_DER, NULL, 0) >= 0 &&
        gnutls_privkey_export_ecc_raw(key, &curve, &point, NULL, NULL) >= 0 &&
        point.size == RAW_LEN;
    if (is_made)
        memcpy(ret, point.data, RAW_LEN);
    gnutls_free(point.data);
    gnutls_privkey_deinit(key);
    explicit_bzero(der, sizeof der);
    return is_made;
}

static bool is_user_seed(const uint8_t bytes[static SEED_BYTES])
{
    uint16_t sum = checksum(bytes, SEED_BYTES - 2);
    return bytes[0] == (SEED_PREFIX | USER_PREFIX >> 5) &&
           bytes[1] == (uint8_t)(USER_PREFIX << 3) &&
           bytes[SEED_BYTES - 2] == (sum & 255) && bytes[SEED_BYTES - 1] == sum >> 8;
}

bool nats_key_parse(const char *text, size_t len, struct nats_key *ret)
{
    uint8_t seed[SEED_BYTES];
    uint8_t made[1 + RAW_LEN + 2] = {USER_PREFIX};
    if (len != NATS_SEED_LEN || !base32_read(text, len, seed, sizeof seed))
        return false;

    bool is_read = is_user_seed(seed) && public_of(seed + 2, made + 1);
    explicit_bzero(seed, sizeof seed);
    if (!is_read)
        return false;

    uint16_t sum = checksum(made, 1 + RAW_LEN);
    made[1 + RAW_LEN] = (uint8_t)(sum & 255);
    made[2 + RAW_LEN] = (uint8_t)(sum >> 8);
    base32_write(made, sizeof made, ret->public_text);
    memcpy(ret->seed, text, len);
    ret->seed[len] = '\0';
    return true;
}

/* ---- files ------------------------------------------------------------------------- */

/* The next line that is neither empty nor a comment, without spaces around it. */
static bool line_next(const char **text, const char **ret_line, size_t *ret_len)
{
    while (**text) {
        const char *line = *text;
        size_t len = strcspn(line, "\n");
        *text += len + (line[len] == '\n');
        while (len > 0 && strchr(" \t\r", line[len - 1]))
            len--;
        if (len == 0 || *line == '#')
            continue;
        *ret_line = line;
        *ret_len = len;
        return true;
    }
    return false;
}

bool nats_key_file_parse(const char *text, struct nats_key *ret, const char **ret_jwt,
                         size_t *ret_jwt_len)
{
    bool has_seed = false, is_jwt = false;
    const char *line;
    size_t len;
    *ret_jwt = NULL;
    while (!has_seed && line_next(&text, &line, &len)) {
        if (is_jwt) {
            *ret_jwt = line;
            *ret_jwt_len = len;
            is_jwt = false;
        } else if (*line == '-') {
            is_jwt = memmem(line, len, "BEGIN NATS USER JWT", 19) != NULL;
        } else {
            has_seed = nats_key_parse(line, len, ret);
        }
    }
    return has_seed;
}
