/* SPDX-License-Identifier: MIT */
#include "service/trial.h"

#include "base/capabilities.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "service/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- what a confined process must not be able to do ---------------------------------- */

/* These return whether it was possible. None of them changes anything if it is. */

static bool can_become_root(void)
{
    return geteuid() == 0 || setresuid(0, 0, 0) == 0;
}

static bool can_open_packet_socket(void)
{
    AUTO_FD fd = socket(AF_PACKET, SOCK_RAW, 0);
    return fd >= 0;
}

static bool can_gain_privileges(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

static bool can_be_dumped(void)
{
    struct rlimit core;
    return prctl(PR_GET_DUMPABLE) != 0 || getrlimit(RLIMIT_CORE, &core) != 0 ||
           core.rlim_cur > 0;
}

static bool can_open_file(void)
{
    AUTO_FD fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

static bool can_list_directory(void)
{
    AUTO_FD fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0;
}

static bool can_create_file(void)
{
    AUTO_FD fd = open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    return fd >= 0;
}

/* A program that does nothing. */
static bool can_execute(void)
{
    char name[] = "true";
    char *const argv[] = {name, NULL};
    execv("/bin/true", argv);
    return false;
}

static bool can_fork(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child > 0 && waitpid(child, NULL, 0) == child;
}

static bool can_trace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool can_execute_memory(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}

static bool can_signal_group(void)
{
    return kill(0, 0) == 0;
}

static bool can_listen(void)
{
    AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && listen(fd, 1) == 0;
}

static bool can_open_other_protocol(void)
{
    AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
    return fd >= 0;
}

static const struct trial {
    enum layer layer;
    const char *what;
    bool (*is_possible)(void);
} trials[] = {
    {LAYER_USER, "become root", can_become_root},
    {LAYER_CAPABILITIES, "hold a capability", capabilities_are_held},
    {LAYER_CAPABILITIES, "open a packet socket", can_open_packet_socket},
    {LAYER_PRIVILEGES, "gain privileges", can_gain_privileges},
    {LAYER_MEMORY, "be dumped", can_be_dumped},
    {LAYER_FILES, "open a file", can_open_file},
    {LAYER_FILES, "list a directory", can_list_directory},
    {LAYER_FILES, "create a file", can_create_file},
    {LAYER_FILES, "execute a program", can_execute},
    {LAYER_CALLS, "open a file", can_open_file},
    {LAYER_CALLS, "execute a program", can_execute},
    {LAYER_CALLS, "fork", can_fork},
    {LAYER_CALLS, "trace a process", can_trace},
    {LAYER_CALLS, "open a packet socket", can_open_packet_socket},
    {LAYER_CALLS, "open an MPTCP socket", can_open_other_protocol},
    {LAYER_CALLS, "execute memory", can_execute_memory},
    {LAYER_CALLS, "signal other processes", can_signal_group},
    {LAYER_CALLS, "listen", can_listen},
};

/* --- in a child ---------------------------------------------------------------------- */

/* What a child tells through its exit status; execute() ends with 0, too. */
enum {
    CHILD_POSSIBLE = 0,
    CHILD_DENIED,
    CHILD_LACKING,
    CHILD_FAILED,
};

static void child_main(const struct trial *trial, const struct confine_plan *plan,
                       struct err *err)
{
    const struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    if (trial->layer == LAYER_FILES || trial->layer == LAYER_CALLS)
        confine_layer(LAYER_PRIVILEGES, plan, NULL);
    switch (confine_layer(trial->layer, plan, err)) {
    case LAYER_HOLDS:
        _exit(trial->is_possible() ? CHILD_POSSIBLE : CHILD_DENIED);
    case LAYER_LACKING:
        _exit(CHILD_LACKING);
    case LAYER_FAILED:
        _exit(CHILD_FAILED);
    }
}

/* Memory that a child writes `err` into for its parent. */
static struct err *shared_err(void)
{
    void *memory = mmap(NULL, sizeof(struct err), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool child_wait(pid_t child, int *ret_status)
{
    pid_t ended;
    while ((ended = waitpid(child, ret_status, 0)) < 0 && errno == EINTR)
        continue;
    return child > 0 && ended == child;
}

static int attempt(const struct trial *trial, const struct confine_plan *plan,
                   struct err *err)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        child_main(trial, plan, err);
    if (!child_wait(child, &status)) {
        err_sys(err, errno, "fork");
        return CHILD_FAILED;
    }
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    if (WTERMSIG(status) == SIGSYS)
        return CHILD_DENIED;
    err_set(err, ERR_SYSTEM, "signal %d", WTERMSIG(status));
    return CHILD_FAILED;
}

/* --- all of them --------------------------------------------------------------------- */

struct finding {
    bool is_lacking;
    bool is_failed;
    struct text denied; /* what was tried in vain */
    char reason[320];
};

static void trial_add(struct finding *finding, const struct trial *trial,
                      const struct confine_plan *plan, struct err *err)
{
    switch (attempt(trial, plan, err)) {
    case CHILD_DENIED:
        text_printf(&finding->denied, "%s%s", finding->denied.len > 0 ? ", " : "",
                    trial->what);
        return;
    case CHILD_LACKING:
        finding->is_lacking = true;
        snprintf(finding->reason, sizeof finding->reason, "%s", err->message);
        return;
    case CHILD_POSSIBLE:
        snprintf(finding->reason, sizeof finding->reason, "it can %s", trial->what);
        break;
    default:
        snprintf(finding->reason, sizeof finding->reason, "%s: %.200s", trial->what,
                 err->message);
        break;
    }
    finding->is_failed = true;
}

static bool layer_print(enum layer layer, const struct confine_plan *plan, struct err *err,
                        FILE *out)
{
    struct finding finding = {.is_lacking = false};
    text_init(&finding.denied, 1024);
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        if (trials[i].layer == layer && !finding.is_lacking)
            trial_add(&finding, &trials[i], plan, err);

    bool is_good = !finding.is_lacking && !finding.is_failed;
    fprintf(out, "%-12s  %-7s  %s", layer_name(layer),
            is_good ? "holds" : (finding.is_failed ? "FAILS" : "lacking"),
            layer_purpose(layer));
    if (layer == LAYER_USER)
        fprintf(out, " (%s)", plan->is_switching ? plan->user : "not started as root");
    if (is_good)
        fprintf(out, "; cannot: %s\n", finding.denied.data);
    else
        fprintf(out, ": %s\n", finding.reason);
    text_done(&finding.denied);
    return is_good;
}

bool trial_print(const struct confine_plan *plan, FILE *out)
{
    struct err *err = shared_err();
    if (!err)
        return false;

    int holding = 0;
    fprintf(out, "The serving process, on this system:\n");
    fflush(out); /* children must not print it again */
    for (enum layer layer = 0; layer < LAYER_COUNT; layer++) {
        holding += layer_print(layer, plan, err, out);
        fflush(out);
    }
    munmap(err, sizeof *err);
    fprintf(out, "%d of %d layers hold.\n", holding, LAYER_COUNT);
    return holding == LAYER_COUNT;
}

bool trial_confine(const struct confine_plan *plan, const struct settings *settings,
                   struct err *err)
{
    struct err *shared = shared_err();
    if (!shared)
        return err_sys(err, errno, "mmap");

    int status;
    pid_t child = fork();
    if (child == 0) {
        size_t count;
        _exit(confine_apply(plan, settings, &count, shared) ? 0 : 1);
    }
    bool is_fine = child_wait(child, &status) && WIFEXITED(status) && status == 0;
    if (!is_fine)
        *err = *shared;
    munmap(shared, sizeof *shared);
    return is_fine;
}
