/* SPDX-License-Identifier: MIT
 *
 * Errors that the server answers itself, before or instead of a handler.
 */
#pragma once

/* Name, status, and the protocol that the client speaks instead of ours, for the log. */
#define HTTP_ERROR_MAP(X)                                                                  \
    X(BAD_FRAMING, 400, NULL) /* ambiguous or malformed: the rules of http/request.h */    \
    X(HTTP_2, 400, "HTTP/2")                                                               \
    X(PROXY_PROTOCOL, 400, "the PROXY protocol")                                           \
    X(TLS_AT_PLAIN, 400, "TLS on a plain HTTP port")                                       \
    X(PLAIN_AT_TLS, 400, "plain HTTP on an HTTPS port")                                    \
    X(NOT_FOUND, 404, NULL)                                                                \
    X(METHOD_NOT_ALLOWED, 405, NULL) /* sent with Allow */                                 \
    X(TIMEOUT, 408, NULL)            /* the head or the body took too long */              \
    X(BODY_TOO_LARGE, 413, NULL)                                                           \
    X(UNSUPPORTED_ENCODING, 415, NULL) /* a Content-Encoding other than identity */        \
    X(CALLER_CONNECTIONS, 429, NULL)   /* too many connections of one caller */            \
    X(HEADERS_TOO_LARGE, 431, NULL)                                                        \
    X(CONNECTIONS, 503, NULL) /* too many connections */

enum http_error {
    HTTP_ERROR_NONE,
#define X(NAME, ...) HTTP_ERROR_##NAME,
    HTTP_ERROR_MAP(X)
#undef X
};
