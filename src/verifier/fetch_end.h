/* SPDX-License-Identifier: MIT
 *
 * How a request of libcurl's ended, as fetch.h names it.
 */
#pragma once

#include "verifier/fetch.h"

#include <curl/curl.h>

/* `code` is the result of the transfer, `message` the content of its error buffer. */
enum fetch_end fetch_end_of(CURL *easy, CURLcode code, const char *message);
