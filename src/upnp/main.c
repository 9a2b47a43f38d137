/* SPDX-License-Identifier: MIT
 *
 * port-verifier-upnp: asks the router over UPnP to forward ports to this machine, or to
 * stop it. One request on standard input (request.h), lines on standard output (answer.h).
 * It is a program of its own because the library parses what any device of the local
 * network says.
 *
 *   0  it has written all lines
 *   1  a system error, or standard input or output was closed
 *   2  the request is invalid
 */
#include "base/err.h"
#include "base/fd.h"
#include "upnp/answer.h"
#include "upnp/confine.h"
#include "upnp/forward.h"
#include "upnp/igd.h"
#include "upnp/neighbourhood.h"
#include "upnp/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUEST_WAIT_MS 10000

enum { STATUS_DONE, STATUS_SYSTEM, STATUS_USAGE };

/* *ret_is_more: more than a line has come. */
static bool line_read(char ret_line[REQUEST_LINE_MAX], size_t *ret_len, bool *ret_is_more,
                      struct err *err)
{
    size_t len = 0;
    while (len < REQUEST_LINE_MAX && !memchr(ret_line, '\n', len)) {
        ssize_t got = read(STDIN_FILENO, ret_line + len, REQUEST_LINE_MAX - len);
        if (got < 0 && errno != EINTR)
            return err_sys(err, errno, "standard input");
        if (got == 0)
            break;
        len += got > 0 ? (size_t)got : 0;
    }
    const char *end = memchr(ret_line, '\n', len);
    if (!end)
        return err_set(err, ERR_INVALID, "the request is not one line of at most %d bytes",
                       REQUEST_LINE_MAX);
    *ret_len = (size_t)(end - ret_line);
    *ret_is_more = *ret_len + 1 < len;
    return true;
}

/* False at the end of standard input. */
static bool go_read(void)
{
    char byte;
    ssize_t got;
    while ((got = read(STDIN_FILENO, &byte, 1)) < 0 && errno == EINTR)
        continue;
    return got == 1;
}

/* `may_go`: the line for which request->waits has come. False if it never does. */
static bool request_serve(const struct request *request, bool may_go)
{
    struct igd igd = {.is_connected = false};
    size_t ignored;
    bool is_found = igd_find(request, &igd, &ignored);
    answer_router(is_found ? igd.url : NULL, igd.is_connected,
                  igd.has_outer ? &igd.outer : NULL, ignored);
    /* A router that has lost its connection can still remove. */
    bool is_able = igd.is_connected || request->is_removal;
    bool is_wanted = is_found && is_able;
    bool is_told = !is_wanted || !request->waits || may_go || go_read();
    if (is_wanted && is_told)
        forward_all(&igd, request);
    if (is_found)
        igd_done(&igd);
    if (is_told)
        answer_end(!is_found ? "no_router" : is_able ? "done" : "not_connected");
    return is_told;
}

static bool run(struct err *err)
{
    static char line[REQUEST_LINE_MAX];
    static struct request request;
    size_t len = 0;
    bool is_more = false;
    if (!fd_open_standard(err) || !confine_time(REQUEST_WAIT_MS, err) ||
        !line_read(line, &len, &is_more, err) || !request_parse(line, len, &request, err) ||
        !confine_time(request.deadline_ms, err) || !neighbourhood_init(&request, err) ||
        !confine_all(err))
        return false;
    return request_serve(&request, is_more) ||
           err_set(err, ERR_SYSTEM, "standard input was closed");
}

int main(int argc, char *argv[])
{
    struct err err;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("port-verifier-upnp " PORT_CHECKER_VERSION);
        return fflush(stdout) == 0 ? STATUS_DONE : STATUS_SYSTEM;
    }
    if (argc > 1) {
        fprintf(stderr, "port-verifier-upnp: the only option is --version; the request "
                        "is read from standard input: see port-verifier-upnp(1)\n");
        return STATUS_USAGE;
    }
    if (run(&err))
        return STATUS_DONE;
    fprintf(stderr, "port-verifier-upnp: %s\n", err.message);
    return err.kind == ERR_INVALID ? STATUS_USAGE : STATUS_SYSTEM;
}
