/* SPDX-License-Identifier: MIT
 *
 * How a request ended.
 */
#pragma once

/* Why there is no whole reply. checker.c reports each as the failure of the same name. */
#define FETCH_END_MAP(X)                                                                   \
    X(NO_NAME)         /* the name is unknown or has no address of this family */          \
    X(NO_FAMILY)       /* this machine has no route to that address: errnum says why */    \
    X(NO_CONNECTION)   /* no connection: errnum says why */                                \
    X(NO_SOURCE)       /* it cannot leave from `source` */                                 \
    X(CONNECT_TIMEOUT) /* no connection in time */                                         \
    X(CERTIFICATE_EXPIRED)                                                                 \
    X(CERTIFICATE_NOT_YET_VALID)                                                           \
    X(CERTIFICATE_OTHER_NAME)                                                              \
    X(CERTIFICATE_UNTRUSTED)                                                               \
    X(CA_UNREADABLE) /* the CA certificates of `ca_file`, or the system's */               \
    X(NO_TLS)        /* https, and what came back is not TLS */                            \
    X(TLS)           /* TLS failed for another reason */                                   \
    X(TIMEOUT)       /* connected, and no whole reply in time */                           \
    X(BROKEN_OFF)    /* the reply ended early or was not HTTP */                           \
    X(TOO_LARGE)     /* more than FETCH_REPLY_MAX */                                       \
    X(INTERNAL)      /* a local error */

enum fetch_end {
#define X(NAME) FETCH_##NAME,
    FETCH_END_MAP(X)
#undef X
        FETCH_ANSWERED, /* a whole reply, of whatever status */
};

/* For fetch.c: the end of a transfer of libcurl's. `easy` is its CURL handle, `code` its
 * CURLcode, `message` the content of its error buffer. */
enum fetch_end fetch_end_of(void *easy, int code, const char *message);
