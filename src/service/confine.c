/* SPDX-License-Identifier: MIT */
#include "service/confine.h"

#include "base/capabilities.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/syscall_filter.h"
#include "settings/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define USER_DEFAULT "port-checker"
#define USER_LAST    "nobody"

/* --- the user ------------------------------------------------------------------------- */

/* `*ret_is_known`: whether there is such a user. False if that cannot be found out; C
 * libraries report an unknown user in different ways (getpwnam(3)). */
static bool user_find(const char *name, struct confine_plan *ret, bool *ret_is_known,
                      struct err *err)
{
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    *ret_is_known = entry != NULL;
    if (!entry)
        return (errno != ENOMEM && errno != EMFILE && errno != ENFILE && errno != EIO) ||
               err_sys(err, errno, "looking for the user %s", name);

    ret->uid = entry->pw_uid;
    ret->gid = entry->pw_gid;
    snprintf(ret->user, sizeof ret->user, "%s", name);
    return true;
}

bool confine_plan_make(const struct settings *settings, struct confine_plan *ret,
                       struct err *err)
{
    bool is_known;
    *ret = (struct confine_plan){.is_switching = geteuid() == 0};
    if (!ret->is_switching || settings->sandbox == SANDBOX_OFF)
        return true;
    const char *wish = settings->user[0] ? settings->user : USER_DEFAULT;
    if (!user_find(wish, ret, &is_known, err))
        return false;
    if (is_known)
        return true;
    if (settings->user[0])
        return err_set(err, ERR_INVALID,
                       "PORT_CHECKER_USER=\"%s\": there is no such user; accepted: a user "
                       "of this system, for example " USER_LAST,
                       settings->user);
    ret->is_fallback = true;
    return user_find(USER_LAST, ret, &is_known, err) &&
           (is_known || err_set(err, ERR_INVALID,
                                "started as root, but there is neither a user " USER_DEFAULT
                                " nor " USER_LAST "; set PORT_CHECKER_USER"));
}

/* In a user namespace without a mapping for the user, or where groups are fixed. */
static bool is_unmapped(int errnum)
{
    return errnum == EINVAL || errnum == EPERM;
}

static void bounding_set_drop(void)
{
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* users other than root may not */
}

static enum layer_state user_apply(const struct confine_plan *plan, struct err *err)
{
    int end_signal;
    if (!plan->is_switching || plan->uid == geteuid())
        return LAYER_HOLDS;

    bounding_set_drop();
    /* The kernel forgets it when the user changes. */
    prctl(PR_GET_PDEATHSIG, &end_signal);
    if (setgroups(0, NULL) != 0 || setresgid(plan->gid, plan->gid, plan->gid) != 0 ||
        setresuid(plan->uid, plan->uid, plan->uid) != 0) {
        enum layer_state state = is_unmapped(errno) ? LAYER_LACKING : LAYER_FAILED;
        err_sys(err, errno, "changing to user %s", plan->user);
        return state;
    }
    prctl(PR_SET_PDEATHSIG, end_signal);
    return LAYER_HOLDS;
}

/* --- privileges and memory ------------------------------------------------------------ */

static enum layer_state fail(const char *what, struct err *err)
{
    err_sys(err, errno, "%s", what);
    return LAYER_FAILED;
}

static enum layer_state capabilities_apply(const struct confine_plan *plan, struct err *err)
{
    (void)plan;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    bounding_set_drop();
    return capabilities_drop(err) ? LAYER_HOLDS : LAYER_FAILED;
}

static enum layer_state privileges_apply(const struct confine_plan *plan, struct err *err)
{
    (void)plan;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? LAYER_HOLDS
                                                       : fail("PR_SET_NO_NEW_PRIVS", err);
}

static enum layer_state memory_apply(const struct confine_plan *plan, struct err *err)
{
    const struct rlimit none = {0};
    (void)plan;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return fail("PR_SET_DUMPABLE", err);
    return setrlimit(RLIMIT_CORE, &none) == 0 ? LAYER_HOLDS : fail("RLIMIT_CORE", err);
}

/* --- files ---------------------------------------------------------------------------- */

/* Landlock by ABI version; the headers of Debian 12 end at 2. A ruleset without rules
 * denies all that it handles. */
struct ruleset {
    uint64_t files;
    uint64_t network; /* 4 */
    uint64_t scoped;  /* 6 */
};

#define RULESET_BIND_TCP        1u
#define RULESET_ABSTRACT_SOCKET 1u
#define RULESET_SIGNAL          2u

/* The number of rights to files that each version knows. */
static const unsigned file_rights[] = {0, 13, 14, 15, 15, 16};

static bool is_absent(int errnum)
{
    return errnum == ENOSYS || errnum == EOPNOTSUPP;
}

static enum layer_state files_apply(const struct confine_plan *plan, struct err *err)
{
    (void)plan;
#if IS_SANITIZED
    err_set(err, ERR_SYSTEM, "Landlock: a sanitizer reads files of its own");
    return LAYER_LACKING;
#endif
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1) {
        enum layer_state state = is_absent(errno) ? LAYER_LACKING : LAYER_FAILED;
        err_sys(err, errno, "Landlock");
        return state;
    }

    const long known = (long)(sizeof file_rights / sizeof *file_rights) - 1;
    const struct ruleset ruleset = {
        .files = (1u << file_rights[abi < known ? abi : known]) - 1,
        .network = RULESET_BIND_TCP,
        .scoped = RULESET_ABSTRACT_SOCKET | RULESET_SIGNAL,
    };
    size_t size = sizeof ruleset.files * (abi >= 6 ? 3 : abi >= 4 ? 2 : 1);
    AUTO_FD fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) != 0)
        return fail("Landlock", err);
    return LAYER_HOLDS;
}

/* --- system calls --------------------------------------------------------------------- */

#define FCNTL(command) SYSCALL_TESTED("fcntl", SYSCALL_IS(1, (command)))

/* What a thread of the service calls after its start, with either C library and on any
 * architecture. No call opens a file or starts a process. */
static enum layer_state calls_apply(const struct confine_plan *plan, struct err *err)
{
    (void)plan;
    /* clang-format off */
    const struct syscall_rule rules[] = {
        /* events and time */
        SYSCALL_ANY("epoll_wait"), SYSCALL_ANY("epoll_pwait"), SYSCALL_ANY("epoll_pwait2"),
        SYSCALL_ANY("epoll_ctl"), SYSCALL_ANY("eventfd2"), SYSCALL_ANY("poll"), SYSCALL_ANY("ppoll"),
        SYSCALL_ANY("clock_gettime"), SYSCALL_ANY("clock_gettime64"), SYSCALL_ANY("gettimeofday"),
        SYSCALL_ANY("time"), SYSCALL_ANY("clock_nanosleep"), SYSCALL_ANY("nanosleep"),
        SYSCALL_ANY("restart_syscall"),
        /* what is open already */
        SYSCALL_ANY("read"), SYSCALL_ANY("readv"), SYSCALL_ANY("pread64"), SYSCALL_ANY("write"), SYSCALL_ANY("writev"),
        SYSCALL_ANY("close"), SYSCALL_ANY("lseek"), SYSCALL_ANY("getdents64"),
        FCNTL(F_GETFD), FCNTL(F_SETFD), FCNTL(F_GETFL), FCNTL(F_SETFL),
        FCNTL(F_DUPFD_CLOEXEC),
        /* sockets */
        SYSCALL_IP_SOCKETS(AF_INET), SYSCALL_IP_SOCKETS(AF_INET6),
        SYSCALL_SOCKET(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
        SYSCALL_ANY("accept4"), SYSCALL_ANY("bind"), SYSCALL_ANY("connect"), SYSCALL_ANY("shutdown"),
        SYSCALL_ANY("getsockname"), SYSCALL_ANY("getpeername"), SYSCALL_ANY("getsockopt"),
        SYSCALL_ANY("setsockopt"), SYSCALL_ANY("sendto"), SYSCALL_ANY("sendmsg"), SYSCALL_ANY("recvfrom"),
        SYSCALL_ANY("recvmsg"), SYSCALL_TESTED("ioctl", SYSCALL_IS(1, SIOCINQ)),
        /* memory that is never executed */
        SYSCALL_TESTED("mmap", SYSCALL_NONE(2, PROT_EXEC)),
        SYSCALL_TESTED("mmap2", SYSCALL_NONE(2, PROT_EXEC)),
        SYSCALL_TESTED("mprotect", SYSCALL_NONE(2, PROT_EXEC)),
        SYSCALL_ANY("munmap"), SYSCALL_ANY("mremap"), SYSCALL_ANY("madvise"), SYSCALL_ANY("brk"),
        /* threads; the flags of clone3() are in memory, and C libraries know its absence */
        SYSCALL_TESTED("clone", SYSCALL_ALL(0, CLONE_THREAD)),
        {.name = "clone3", .fails_with = ENOSYS},
        SYSCALL_ANY("futex"), SYSCALL_ANY("futex_time64"), SYSCALL_ANY("set_robust_list"), SYSCALL_ANY("rseq"),
        SYSCALL_ANY("membarrier"), SYSCALL_ANY("sched_yield"), SYSCALL_ANY("sched_getaffinity"),
        SYSCALL_ANY("gettid"), SYSCALL_ANY("getpid"), SYSCALL_ANY("exit"), SYSCALL_ANY("exit_group"),
        /* signals, to this process only */
        SYSCALL_ANY("rt_sigprocmask"), SYSCALL_ANY("rt_sigaction"), SYSCALL_ANY("rt_sigreturn"),
        SYSCALL_TESTED("tgkill", SYSCALL_IS(0, (uint64_t)getpid())),
        SYSCALL_TESTED("tkill", SYSCALL_IS(0, (uint64_t)getpid())),
        /* the rest; prlimit64() reads the limits of this process */
        SYSCALL_ANY("getrandom"), SYSCALL_ANY("getrusage"), SYSCALL_ANY("getrlimit"), SYSCALL_ANY("ugetrlimit"),
        SYSCALL_TESTED("prlimit64", SYSCALL_IS(0, 0), {2, UINT64_MAX, 0}),
    };
    /* clang-format on */
    if (syscall_filter_install(rules, sizeof rules / sizeof *rules, SYSCALL_DENIAL_KILLS,
                               err))
        return LAYER_HOLDS;
    return err->errnum == ENOSYS ? LAYER_LACKING : LAYER_FAILED;
}

/* --- all of them ---------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *purpose;
} layers[] = {
#define LAYER(ID, name, what) [LAYER_##ID] = {name, what},
    LAYER_MAP(LAYER)
#undef LAYER
};

const char *layer_name(enum layer layer)
{
    return layers[layer].name;
}

const char *layer_purpose(enum layer layer)
{
    return layers[layer].purpose;
}

enum layer_state confine_layer(enum layer layer, const struct confine_plan *plan,
                               struct err *err)
{
    static enum layer_state (*const apply[])(const struct confine_plan *, struct err *) = {
        [LAYER_USER] = user_apply,
        [LAYER_CAPABILITIES] = capabilities_apply,
        [LAYER_PRIVILEGES] = privileges_apply,
        [LAYER_MEMORY] = memory_apply,
        [LAYER_FILES] = files_apply,
        [LAYER_CALLS] = calls_apply,
    };
    return apply[layer](plan, err);
}

static void warn_fallback(const struct confine_plan *plan)
{
    if (plan->is_fallback)
        log_message(LOG_LEVEL_WARNING, "sandbox",
                    "there is no user " USER_DEFAULT ": the service runs as " USER_LAST
                    "; create that user, or set PORT_CHECKER_USER");
}

/* Not about layers that the build lacks: --check-sandbox reports these. */
static void warn_lacking(enum layer layer, const struct err *why)
{
    if (!IS_SANITIZED && (layer != LAYER_CALLS || syscall_filter_is_built()))
        log_message(LOG_LEVEL_WARNING, "sandbox", "without the layer \"%s\": %s",
                    layers[layer].name, why->message);
}

bool confine_apply(const struct confine_plan *plan, const struct settings *settings,
                   size_t *ret_count, struct err *err)
{
    size_t count = 0;
    warn_fallback(plan);
    for (enum layer layer = 0; layer < LAYER_COUNT && settings->sandbox != SANDBOX_OFF;
         layer++) {
        struct err why;
        enum layer_state state = confine_layer(layer, plan, &why);
        if (state == LAYER_FAILED ||
            (state == LAYER_LACKING && settings->sandbox == SANDBOX_REQUIRE))
            return err_set(err, ERR_SYSTEM,
                           "sandbox: the layer \"%s\" does not hold: %.80s",
                           layers[layer].name, why.message);
        if (state == LAYER_LACKING)
            warn_lacking(layer, &why);
        count += state == LAYER_HOLDS;
    }
    *ret_count = count;
    return true;
}
