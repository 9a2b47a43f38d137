/* SPDX-License-Identifier: MIT */
#include "router/pcp.h"

#include "router/bytes.h"

#include <string.h>

#define VERSION        2
#define REPLY_BIT      128
#define HEADER_SIZE    24
#define MAP_SIZE       36
#define OPTION_HEADER  4
#define UNSUPP_VERSION 1
#define NATPMP_MIN     8 /* RFC 6886: the shortest reply, and the longest */
#define NATPMP_MAX     16

/* Offsets. */
#define AT_OPCODE      1
#define AT_RESULT      3
#define AT_LIFETIME    4
#define AT_CLIENT      8
#define AT_EPOCH       8
#define AT_NONCE       24
#define AT_PROTOCOL    36
#define AT_INNER       40
#define AT_OUTER       42
#define AT_OUTER_IP    44

/* --- addresses ------------------------------------------------------------------------ */

static void address_put(uint8_t *at, const struct address *address)
{
    size_t len;
    const uint8_t *bytes = address_bytes(address, &len);
    memset(at, 0, 16);
    if (len == 4)
        at[10] = at[11] = 0xff;
    memcpy(at + 16 - len, bytes, len);
}

/* The address of all zeros: "any of yours". */
static void any_put(uint8_t *at, const struct address *like)
{
    memset(at, 0, 16);
    if (address_family_number(like) == 4)
        at[10] = at[11] = 0xff;
}

static struct address address_get(const uint8_t *at)
{
    struct address address = {.len = sizeof address.in6, .in6.sin6_family = AF_INET6};
    memcpy(&address.in6.sin6_addr, at, 16);
    return address_unmap(&address);
}

static bool is_any(const struct address *address)
{
    static const uint8_t zeros[16];
    size_t len;
    const uint8_t *bytes = address_bytes(address, &len);
    return memcmp(bytes, zeros, len) == 0;
}

/* --- datagrams ------------------------------------------------------------------------ */

size_t pcp_write(const struct pcp_request *request, uint8_t ret_bytes[PCP_REQUEST_MAX])
{
    memset(ret_bytes, 0, PCP_REQUEST_MAX);
    ret_bytes[0] = VERSION;
    ret_bytes[AT_OPCODE] = (uint8_t)request->opcode;
    address_put(ret_bytes + AT_CLIENT, &request->client);
    if (request->opcode == PCP_ANNOUNCE)
        return HEADER_SIZE;

    bytes_put_32(ret_bytes + AT_LIFETIME, request->lifetime);
    memcpy(ret_bytes + AT_NONCE, request->nonce.bytes, PCP_NONCE_SIZE);
    ret_bytes[AT_PROTOCOL] = IPPROTO_TCP;
    bytes_put_16(ret_bytes + AT_INNER, request->inner);
    bytes_put_16(ret_bytes + AT_OUTER, request->outer);
    any_put(ret_bytes + AT_OUTER_IP, &request->client);
    return HEADER_SIZE + MAP_SIZE;
}

/* A server that does not speak our version says so in its own: the version and the place of
 * the result are the same in all of them, also in NAT-PMP's short replies. */
static bool is_other_version(const uint8_t *bytes, size_t len)
{
    if (bytes[AT_RESULT] != UNSUPP_VERSION)
        return false;
    return bytes[0] == 0 ? len >= NATPMP_MIN && len <= NATPMP_MAX && bytes[2] == 0
                         : len >= HEADER_SIZE;
}

static bool options_are_whole(const uint8_t *bytes, size_t len, size_t at)
{
    while (at < len) {
        size_t size = OPTION_HEADER + bytes_get_16(bytes + at + 2);
        size = (size + 3) & ~(size_t)3;
        if (size > len - at)
            return false;
        at += size;
    }
    return true;
}

static bool map_is_of(const uint8_t *bytes, const struct pcp_request *asked)
{
    return memcmp(bytes + AT_NONCE, asked->nonce.bytes, PCP_NONCE_SIZE) == 0 &&
           bytes[AT_PROTOCOL] == IPPROTO_TCP &&
           bytes_get_16(bytes + AT_INNER) == asked->inner;
}

static bool map_read(const uint8_t *bytes, const struct pcp_request *asked,
                     struct pcp_reply *reply)
{
    reply->outer = bytes_get_16(bytes + AT_OUTER);
    reply->outer_address = address_get(bytes + AT_OUTER_IP);
    return asked->lifetime == 0 ||
           (reply->lifetime != 0 && reply->outer != 0 && !is_any(&reply->outer_address) &&
            address_family_number(&reply->outer_address) ==
                address_family_number(&asked->client));
}

enum pcp_form pcp_read(const uint8_t *bytes, size_t len, const struct pcp_request *asked,
                       struct pcp_reply *ret)
{
    if (len < NATPMP_MIN || len > PCP_REPLY_MAX || len % 4 != 0 ||
        bytes[AT_OPCODE] != (REPLY_BIT | asked->opcode))
        return PCP_FORM_INVALID;
    if (bytes[0] != VERSION)
        return is_other_version(bytes, len) ? PCP_FORM_OTHER_VERSION : PCP_FORM_INVALID;
    if (len < HEADER_SIZE)
        return PCP_FORM_INVALID;

    struct pcp_reply reply = {
        .result = bytes[AT_RESULT],
        .lifetime = bytes_get_32(bytes + AT_LIFETIME),
        .epoch = bytes_get_32(bytes + AT_EPOCH),
    };
    const size_t whole = HEADER_SIZE + (asked->opcode == PCP_MAP ? MAP_SIZE : 0);
    if (len < whole && (len != HEADER_SIZE || reply.result == 0))
        return PCP_FORM_INVALID;
    if (len >= whole && !options_are_whole(bytes, len, whole))
        return PCP_FORM_INVALID;
    if (len >= whole && asked->opcode == PCP_MAP && !map_is_of(bytes, asked))
        return PCP_FORM_INVALID;
    if (reply.result == 0 && asked->opcode == PCP_MAP && !map_read(bytes, asked, &reply))
        return PCP_FORM_INVALID;
    *ret = reply;
    return PCP_FORM_REPLY;
}
