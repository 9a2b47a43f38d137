/* SPDX-License-Identifier: MIT */
#include "verifier/fetch_end.h"

#include <curl/curl.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <string.h>

static enum fetch_end end_of_connect(CURL *easy)
{
    long errnum = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &errnum);
    switch (errnum) {
    case 0:
        return FETCH_CONNECT_TIMEOUT;
    case ENETUNREACH:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return FETCH_NO_FAMILY;
    default:
        return FETCH_NO_CONNECTION;
    }
}

static enum fetch_end end_of_timeout(CURL *easy)
{
    double connected = 0;
    double sending = 0; /* only this one is set if a connection is used again */
    curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME, &connected);
    curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME, &sending);
    return connected > 0 || sending > 0 ? FETCH_TIMEOUT : FETCH_CONNECT_TIMEOUT;
}

/* A server of plain HTTP answers the first message of TLS in plain text. libcurl passes on
 * what GnuTLS says of it. */
static enum fetch_end end_of_handshake(const char *message)
{
    static const int signs[] = {GNUTLS_E_UNEXPECTED_PACKET,
                                GNUTLS_E_UNEXPECTED_PACKET_LENGTH,
                                GNUTLS_E_UNSUPPORTED_VERSION_PACKET};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strstr(message, gnutls_strerror(signs[i])))
            return FETCH_NO_TLS;
    return FETCH_TLS;
}

/* libcurl passes on what GnuTLS found; names it compares by itself. */
static enum fetch_end end_of_verification(CURL *easy)
{
    long found = 0;
    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &found);
    if (found & GNUTLS_CERT_EXPIRED)
        return FETCH_CERTIFICATE_EXPIRED;
    if (found & GNUTLS_CERT_NOT_ACTIVATED)
        return FETCH_CERTIFICATE_NOT_YET_VALID;
    return found == 0 ? FETCH_CERTIFICATE_OTHER_NAME : FETCH_CERTIFICATE_UNTRUSTED;
}

enum fetch_end fetch_end_of(void *easy, int code, const char *message)
{
    switch (code) {
    case CURLE_OK:
        return FETCH_ANSWERED;
    case CURLE_COULDNT_RESOLVE_HOST:
        return FETCH_NO_NAME;
    case CURLE_COULDNT_CONNECT:
        return end_of_connect(easy);
    case CURLE_INTERFACE_FAILED:
        return FETCH_NO_SOURCE;
    case CURLE_OPERATION_TIMEDOUT:
        return end_of_timeout(easy);
    case CURLE_SSL_CONNECT_ERROR:
        return end_of_handshake(message);
    case CURLE_PEER_FAILED_VERIFICATION:
        return end_of_verification(easy);
    case CURLE_SSL_CACERT_BADFILE:
        return FETCH_CA_UNREADABLE;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
        return FETCH_TLS;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* "HTTP/0.9 when not allowed" */
    case CURLE_BAD_CONTENT_ENCODING:
        return FETCH_BROKEN_OFF;
    case CURLE_WRITE_ERROR:
        return FETCH_TOO_LARGE;
    default:
        return FETCH_INTERNAL;
    }
}
