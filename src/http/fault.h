/* SPDX-License-Identifier: MIT
 *
 * What the server answers by itself, before or instead of a handler, and with which
 * status.
 */
#pragma once

#define HTTP_FAULT_MAP(X)                                                                  \
    X(BAD_FRAMING, 400) /* ambiguous or malformed: the rules of http/request.h */          \
    X(HTTP_2, 400)      /* the preface of HTTP/2 */                                        \
    X(PROXY_LINE, 400)  /* the first line of the PROXY protocol */                         \
    X(TLS_AT_PLAIN, 400)                                                                   \
    X(PLAIN_AT_TLS, 400)                                                                   \
    X(NOT_FOUND, 404)                                                                      \
    X(METHOD_NOT_ALLOWED, 405) /* sent with Allow */                                       \
    X(TIMEOUT, 408)            /* headers or body took too long */                         \
    X(BODY_TOO_LARGE, 413)                                                                 \
    X(UNSUPPORTED_ENCODING, 415) /* a Content-Encoding other than identity */              \
    X(CALLER_CONNECTIONS, 429)   /* too many connections of one caller */                  \
    X(HEADERS_TOO_LARGE, 431)                                                              \
    X(CONNECTIONS, 503) /* too many connections */

enum http_fault {
    HTTP_FAULT_NONE,
#define X(NAME, status) HTTP_FAULT_##NAME,
    HTTP_FAULT_MAP(X)
#undef X
};
