/* SPDX-License-Identifier: MIT */
#include "verifier/packet_filter_look.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "base/text.h"
#include "verifier/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (8u << 20)
#define PATH_SIZE  64

/* Where programs for root are, whatever PATH says. */
static const char *const folders[] = {"/usr/sbin",       "/sbin",
                                      "/usr/bin",        "/bin",
                                      "/usr/local/sbin", "/run/current-system/sw/bin"};

/* --- one program ---------------------------------------------------------------------- */

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

/* Its standard output, if it ended well and in time. */
static bool program_run(const char *path, char *const argv[], struct instant deadline,
                        struct text *ret)
{
    int ends[2];
    int status = 0;
    pid_t child;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    AUTO_FD ours = ends[0];
    AUTO_FD theirs = ends[1];
    const int fds[3] = {-1, theirs, -1};
    if (!spawn_program(path, argv, fds, &child, NULL))
        return false;

    fd_close(&theirs);
    bool is_whole = output_read(ours, deadline, ret);
    if (!is_whole)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return is_whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* False also if it is not installed. */
static bool output_of(char *const argv[], struct instant deadline, struct text *ret)
{
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s/%s", folders[i], argv[0]);
        if (access(path, X_OK) == 0)
            return program_run(path, argv, deadline, ret);
    }
    return false;
}

/* --- all rules ------------------------------------------------------------------------ */

struct sources {
    bool has_nft, has_iptables;
    bool is_partial; /* nftables has rules that only iptables-save can tell */
};

static void nft_read(struct ruleset *ruleset, struct instant deadline,
                     struct sources *sources)
{
    char *const argv[] = {(char[]){"nft"}, (char[]){"-j"}, (char[]){"list"},
                          (char[]){"ruleset"}, NULL};
    AUTO_TEXT json = text_up_to(OUTPUT_MAX);
    if (output_of(argv, deadline, &json))
        sources->has_nft =
            ruleset_add_nft(ruleset, json.data, json.len, &sources->is_partial);
}

/* Rules of the older kind, which nft does not see, are told by the second program alone. */
static void iptables_read(struct ruleset *ruleset, enum family family,
                          struct instant deadline, struct sources *sources)
{
    char *const programs[FAMILY_COUNT][2] = {
        [FAMILY_4] = {(char[]){"iptables-save"}, (char[]){"iptables-legacy-save"}},
        [FAMILY_6] = {(char[]){"ip6tables-save"}, (char[]){"ip6tables-legacy-save"}},
    };
    for (size_t i = 0; i < 2; i++) {
        char *const argv[] = {programs[family][i], NULL};
        AUTO_TEXT rules = text_up_to(OUTPUT_MAX);
        if (output_of(argv, deadline, &rules) &&
            ruleset_add_iptables(ruleset, rules.data, rules.len))
            sources->has_iptables = true;
    }
}

void packet_filter_look(enum family family, const struct address *here,
                        const uint16_t *ports, size_t count, struct local_port *ret)
{
    struct link link = link_find(here);
    struct filter_view view = {
        .family = family_domain(family),
        .has_address = here != NULL,
        .interface = link.name,
    };
    if (here)
        view.address = *here;
    struct ruleset *ruleset = geteuid() == 0 ? ruleset_new(&view) : NULL;
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
