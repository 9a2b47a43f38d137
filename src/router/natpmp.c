/* SPDX-License-Identifier: MIT */
#include "router/natpmp.h"

#include "router/bytes.h"

#include <string.h>

/* Offsets. */
#define AT_OPCODE        1
#define AT_RESULT        2
#define AT_EPOCH         4
#define AT_BODY          8
#define AT_OUTER         10
#define AT_LIFETIME      12
#define AT_REQUEST_INNER 4
#define AT_REQUEST_OUTER 6
#define AT_REQUEST_LIFE  8

#define REPLY_BIT        128
#define ADDRESS_REPLY    12
#define MAP_REPLY        16

size_t natpmp_write(const struct natpmp_request *request,
                    uint8_t ret_bytes[NATPMP_REQUEST_MAX])
{
    memset(ret_bytes, 0, NATPMP_REQUEST_MAX);
    ret_bytes[AT_OPCODE] = (uint8_t)request->opcode;
    if (request->opcode == NATPMP_ADDRESS)
        return AT_OPCODE + 1;

    bytes_put_16(ret_bytes + AT_REQUEST_INNER, request->inner);
    bytes_put_16(ret_bytes + AT_REQUEST_OUTER, request->outer);
    bytes_put_32(ret_bytes + AT_REQUEST_LIFE, request->lifetime);
    return NATPMP_REQUEST_MAX;
}

static bool address_read(const uint8_t *bytes, struct natpmp_reply *reply)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    memcpy(&in.sin_addr, bytes + AT_BODY, sizeof in.sin_addr);
    return in.sin_addr.s_addr != 0 &&
           address_from_sockaddr((const struct sockaddr *)&in, sizeof in,
                                 &reply->outer_address);
}

static bool map_read(const uint8_t *bytes, const struct natpmp_request *asked,
                     struct natpmp_reply *reply)
{
    reply->outer = bytes_get_16(bytes + AT_OUTER);
    reply->lifetime = bytes_get_32(bytes + AT_LIFETIME);
    return bytes_get_16(bytes + AT_BODY) == asked->inner &&
           (asked->lifetime == 0 || (reply->outer != 0 && reply->lifetime != 0));
}

bool natpmp_read(const uint8_t *bytes, size_t len, const struct natpmp_request *asked,
                 struct natpmp_reply *ret)
{
    const size_t whole = asked->opcode == NATPMP_ADDRESS ? ADDRESS_REPLY : MAP_REPLY;
    if ((len != whole && len != AT_BODY) || bytes[0] != 0 ||
        bytes[AT_OPCODE] != (REPLY_BIT | asked->opcode))
        return false;

    struct natpmp_reply reply = {
        .result = bytes_get_16(bytes + AT_RESULT),
        .epoch = bytes_get_32(bytes + AT_EPOCH),
    };
    if (len != whole && reply.result == 0)
        return false;
    if (reply.result == 0 &&
        !(asked->opcode == NATPMP_ADDRESS ? address_read(bytes, &reply)
                                          : map_read(bytes, asked, &reply)))
        return false;
    *ret = reply;
    return true;
}
