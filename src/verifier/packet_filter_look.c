/* SPDX-License-Identifier: MIT */
#include "verifier/packet_filter_look.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "base/text.h"
#include "verifier/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (8u << 20)
#define PATH_SIZE  64

/* Where programs for root are, whatever PATH says. */
static const char *const folders[] = {"/usr/sbin",       "/sbin",
                                      "/usr/bin",        "/bin",
                                      "/usr/local/sbin", "/run/current-system/sw/bin"};

enum program {
    PROGRAM_NFT,
    PROGRAM_IPTABLES, /* of IPv4 and IPv6, as are the legacy ones */
    PROGRAM_IPTABLES_LEGACY = PROGRAM_IPTABLES + FAMILY_COUNT,
    PROGRAM_COUNT = PROGRAM_IPTABLES_LEGACY + FAMILY_COUNT,
};

#define IPTABLES(family)        ((int)PROGRAM_IPTABLES + (int)(family))
#define IPTABLES_LEGACY(family) ((int)PROGRAM_IPTABLES_LEGACY + (int)(family))

#define ARGUMENTS_MAX           4

static const char *const programs[PROGRAM_COUNT][ARGUMENTS_MAX] = {
    [PROGRAM_NFT] = {"nft", "-j", "list", "ruleset"},
    [IPTABLES(FAMILY_4)] = {"iptables-save"},
    [IPTABLES(FAMILY_6)] = {"ip6tables-save"},
    [IPTABLES_LEGACY(FAMILY_4)] = {"iptables-legacy-save"},
    [IPTABLES_LEGACY(FAMILY_6)] = {"ip6tables-legacy-save"},
};

/* The descriptor of the helper that executes these programs and no others; -1 = not
 * started. Only the main thread uses it. */
static int helper_fd = -1;

/* --- in the helper -------------------------------------------------------------------- */

/* False also if it is not installed. */
static bool program_path(enum program program, char ret[static PATH_SIZE])
{
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(ret, PATH_SIZE, "%s/%s", folders[i], programs[program][0]);
        if (access(ret, X_OK) == 0)
            return true;
    }
    return false;
}

static struct helper_answer program_execute(const void *ctx, unsigned char which,
                                            int output)
{
    char path[PATH_SIZE];
    char words[ARGUMENTS_MAX][32];
    char *argv[ARGUMENTS_MAX + 1] = {NULL};
    AUTO_FD owned = output;
    const int fds[3] = {-1, owned, -1};
    struct err err;
    pid_t child;
    (void)ctx;
    if (which >= PROGRAM_COUNT || !program_path((enum program)which, path))
        return (struct helper_answer){.failure = ENOENT};

    for (size_t i = 0; i < ARGUMENTS_MAX && programs[which][i]; i++) {
        snprintf(words[i], sizeof words[i], "%s", programs[which][i]);
        argv[i] = words[i];
    }
    if (!spawn_program(path, argv, fds, &child, &err))
        return (struct helper_answer){.failure = err.errnum};
    fd_close(&owned); /* the reader waits for the program alone */
    return (struct helper_answer){.status = helper_wait(child, PACKET_FILTER_SECONDS)};
}

/* --- one program ---------------------------------------------------------------------- */

bool packet_filter_prepare(struct err *err)
{
    return geteuid() != 0 || helper_start(program_execute, NULL, &helper_fd, err);
}

void packet_filter_end(void)
{
    fd_close(&helper_fd);
}

static bool output_read(int fd, struct instant deadline, struct text *ret)
{
    char data[16384];
    for (;;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        int64_t rest = instant_since(deadline, clock_now()).ns / 1000000;
        if (rest <= 0 || (poll(&waiting, 1, (int)rest) < 0 && errno != EINTR))
            return false;
        ssize_t got = waiting.revents ? read(fd, data, sizeof data) : -1;
        if (got == 0)
            return true;
        if (got > 0)
            text_append(ret, data, (size_t)got);
        if (ret->failed)
            return false;
    }
}

static bool answer_await(struct instant deadline, struct helper_answer *ret)
{
    for (;;) {
        enum helper_state state = helper_read(helper_fd, ret);
        struct pollfd waiting = {.fd = helper_fd, .events = POLLIN};
        int64_t rest = instant_since(deadline, clock_now()).ns / 1000000;
        if (state == HELPER_ANSWERED)
            return true;
        if (state == HELPER_LOST || rest <= 0 ||
            (poll(&waiting, 1, (int)rest) < 0 && errno != EINTR))
            return false;
    }
}

/* Its standard output, if it ended well and in time. A helper that does not answer is not
 * asked again: its next answer would be to this question. */
static bool program_run(enum program program, struct instant deadline, struct text *ret)
{
    int ends[2];
    struct helper_answer answer;
    if (helper_fd < 0 || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    AUTO_FD ours = ends[0];
    AUTO_FD theirs = ends[1];
    if (!helper_ask(helper_fd, (unsigned char)program, theirs, NULL))
        return false;

    fd_close(&theirs);
    bool is_whole = output_read(ours, deadline, ret);
    fd_close(&ours);
    if (!answer_await(instant_add(deadline, span_seconds(1)), &answer)) {
        fd_close(&helper_fd);
        return false;
    }
    return is_whole && !answer.failure && WIFEXITED(answer.status) &&
           WEXITSTATUS(answer.status) == 0;
}

/* --- all rules ------------------------------------------------------------------------ */

struct sources {
    bool has_nft, has_iptables;
    bool is_partial; /* nftables has rules that only iptables-save can tell */
};

static void nft_read(struct ruleset *ruleset, struct instant deadline,
                     struct sources *sources)
{
    AUTO_TEXT json = text_up_to(OUTPUT_MAX);
    if (program_run(PROGRAM_NFT, deadline, &json))
        sources->has_nft =
            ruleset_add_nft(ruleset, json.data, json.len, &sources->is_partial);
}

/* Rules of the older kind, which nft does not see, are told by the second program alone. */
static void iptables_read(struct ruleset *ruleset, enum family family,
                          struct instant deadline, struct sources *sources)
{
    const unsigned kinds[] = {PROGRAM_IPTABLES, PROGRAM_IPTABLES_LEGACY};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        enum program program = (enum program)(kinds[i] + family);
        AUTO_TEXT rules = text_up_to(OUTPUT_MAX);
        if (program_run(program, deadline, &rules) &&
            ruleset_add_iptables(ruleset, rules.data, rules.len))
            sources->has_iptables = true;
    }
}

void packet_filter_look(const struct filter_view *view, const uint16_t *ports, size_t count,
                        struct local_port *ret)
{
    const enum family family = view->family == AF_INET6 ? FAMILY_6 : FAMILY_4;
    struct ruleset *ruleset = geteuid() == 0 ? ruleset_new(view) : NULL;
    if (!ruleset)
        return;

    struct sources sources = {0};
    struct instant deadline = instant_add(clock_now(), span_seconds(PACKET_FILTER_SECONDS));
    nft_read(ruleset, deadline, &sources);
    iptables_read(ruleset, family, deadline, &sources);
    bool is_whole = sources.has_iptables || (sources.has_nft && !sources.is_partial);
    for (size_t i = 0; i < count && is_whole; i++)
        ret[i].filter = ruleset_judge(ruleset, ports[i]);
    ruleset_free(ruleset);
}
