/* SPDX-License-Identifier: MIT */
#include "metrics/process.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "metrics/exposition.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Fields of /proc/self/stat after the command's name, which may contain anything. proc(5)
 * counts from 1, and the name is the second field. */
enum {
    STAT_START_TIME = 22 - 3, /* clock ticks since boot */
    STAT_VIRTUAL = 23 - 3,    /* bytes */
    STAT_RESIDENT = 24 - 3,   /* pages */
    STAT_FIELDS = 25 - 3,
};

#define STAT_PATH "/proc/self/stat"
#define FDS_PATH  "/proc/self/fd"

/* What process_hold() has opened. The lock is for the directory, which has one position. */
static struct {
    bool is_on;
    int stat_fd;
    DIR *fds;
    pthread_mutex_t lock;
} held = {.stat_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

void process_hold(void)
{
    held.is_on = true;
    held.stat_fd = open(STAT_PATH, O_RDONLY | O_CLOEXEC);
    held.fds = opendir(FDS_PATH);
}

static bool stat_text(char *data, size_t size)
{
    size_t len = 0;
    if (held.is_on) {
        ssize_t got = pread(held.stat_fd, data, size - 1, 0);
        len = got > 0 ? (size_t)got : 0;
    } else {
        fd_read_file(STAT_PATH, data, size - 1, &len, NULL);
    }
    data[len] = '\0';
    return len > 0;
}

static bool read_stat(uint64_t fields[STAT_FIELDS])
{
    char data[2048];
    if (!stat_text(data, sizeof data))
        return false;

    const char *at = strrchr(data, ')');
    if (!at)
        return false;
    at++;
    for (size_t i = 0; i < STAT_FIELDS; i++) {
        at += strspn(at, " ");
        size_t field_len = strcspn(at, " \n");
        fields[i] = 0; /* the state and negative numbers, which are not needed */
        text_parse_u64(at, field_len, UINT64_MAX, &fields[i]);
        at += field_len;
    }
    return fields[STAT_START_TIME] > 0;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

static void append_cpu(struct text *text)
{
    int64_t ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    exposition_header(text, "process_cpu_seconds_total", "counter",
                      "Total user and system CPU time spent in seconds.");
    text_printf(text, "process_cpu_seconds_total %" PRId64 ".%09" PRId64 "\n",
                ns / NS_PER_SECOND, ns % NS_PER_SECOND);
}

static void append_start_time(struct text *text, uint64_t ticks_since_boot)
{
    long ticks_per_second = sysconf(_SC_CLK_TCK);
    if (ticks_per_second <= 0)
        return;

    int64_t boot_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME);
    int64_t start_ns =
        boot_ns + (int64_t)ticks_since_boot * (NS_PER_SECOND / ticks_per_second);
    exposition_header(text, "process_start_time_seconds", "gauge",
                      "Start time of the process since the Unix epoch in seconds.");
    text_printf(text, "process_start_time_seconds %" PRId64 ".%02" PRId64 "\n",
                start_ns / NS_PER_SECOND, start_ns % NS_PER_SECOND / (10 * NS_PER_MS));
}

static uint64_t count_entries(DIR *dir)
{
    uint64_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.')
            count++;
    }
    return count;
}

static bool count_open_fds(uint64_t *ret)
{
    if (held.is_on && held.fds) {
        pthread_mutex_lock(&held.lock);
        rewinddir(held.fds);
        *ret = count_entries(held.fds);
        pthread_mutex_unlock(&held.lock);
        return true;
    }
    DIR *dir = held.is_on ? NULL : opendir(FDS_PATH);
    if (!dir)
        return false;

    *ret = count_entries(dir) - 1; /* without the descriptor that reads the directory */
    closedir(dir);
    return true;
}

void process_render(struct text *text)
{
    append_cpu(text);

    uint64_t fields[STAT_FIELDS];
    if (read_stat(fields)) {
        exposition_gauge(text, "process_resident_memory_bytes",
                         "Resident memory size in bytes.",
                         fields[STAT_RESIDENT] * (uint64_t)sysconf(_SC_PAGESIZE));
        exposition_gauge(text, "process_virtual_memory_bytes",
                         "Virtual memory size in bytes.", fields[STAT_VIRTUAL]);
        append_start_time(text, fields[STAT_START_TIME]);
    }

    uint64_t open_fds;
    if (count_open_fds(&open_fds))
        exposition_gauge(text, "process_open_fds", "Number of open file descriptors.",
                         open_fds);

    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        exposition_gauge(text, "process_max_fds",
                         "Maximum number of open file descriptors.", limit.rlim_cur);
}
