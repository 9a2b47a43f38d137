/* SPDX-License-Identifier: MIT
 *
 * Numbers in network order inside datagrams, at any alignment.
 */
#pragma once

#include <stdint.h>

static inline void bytes_put_16(uint8_t *at, uint16_t number)
{
    at[0] = (uint8_t)(number >> 8);
    at[1] = (uint8_t)number;
}

static inline void bytes_put_32(uint8_t *at, uint32_t number)
{
    bytes_put_16(at, (uint16_t)(number >> 16));
    bytes_put_16(at + 2, (uint16_t)number);
}

static inline uint16_t bytes_get_16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t bytes_get_32(const uint8_t *at)
{
    return (uint32_t)bytes_get_16(at) << 16 | bytes_get_16(at + 2);
}
