/* SPDX-License-Identifier: MIT
 *
 * What any device of the local network may answer to a search. The address that is found is
 * text of the answer, without the spaces around it.
 */
#include "upnp/ssdp.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char url[SSDP_URL_SIZE];
    if (!ssdp_location((const char *)data, size, url))
        return 0;

    size_t len = strnlen(url, sizeof url);
    assert(len > 0 && len < sizeof url);
    assert(memmem(data, size, url, len));
    assert(!strchr(" \t", url[0]) && !strchr(" \t", url[len - 1]));
    assert(!strchr(url, '\n'));
    return 0;
}
