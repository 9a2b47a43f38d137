/* SPDX-License-Identifier: MIT */
#include "metrics/process.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"

#include <dirent.h>
#include <inttypes.h>
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

static bool read_stat(uint64_t fields[STAT_FIELDS])
{
    char data[2048];
    unsigned long len = 0;
    if (!fd_read_file("/proc/self/stat", data, sizeof data - 1, &len, NULL))
        return false;
    data[len] = '\0';

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

static void append_header(struct text *text, const char *name, const char *type,
                          const char *help)
{
    text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void append_gauge(struct text *text, const char *name, const char *help,
                         uint64_t value)
{
    append_header(text, name, "gauge", help);
    text_printf(text, "%s %" PRIu64 "\n", name, value);
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
    append_header(text, "process_cpu_seconds_total", "counter",
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
    append_header(text, "process_start_time_seconds", "gauge",
                  "Start time of the process since the Unix epoch in seconds.");
    text_printf(text, "process_start_time_seconds %" PRId64 ".%02" PRId64 "\n",
                start_ns / NS_PER_SECOND, start_ns % NS_PER_SECOND / (10 * NS_PER_MS));
}

static bool count_open_fds(uint64_t *ret)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return false;

    uint64_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.')
            count++;
    }
    closedir(dir);
    *ret = count - 1; /* without the descriptor that reads the directory */
    return true;
}

void process_render(struct text *text)
{
    append_cpu(text);

    uint64_t fields[STAT_FIELDS];
    if (read_stat(fields)) {
        append_gauge(text, "process_resident_memory_bytes",
                     "Resident memory size in bytes.",
                     fields[STAT_RESIDENT] * (uint64_t)sysconf(_SC_PAGESIZE));
        append_gauge(text, "process_virtual_memory_bytes", "Virtual memory size in bytes.",
                     fields[STAT_VIRTUAL]);
        append_start_time(text, fields[STAT_START_TIME]);
    }

    uint64_t open_fds;
    if (count_open_fds(&open_fds))
        append_gauge(text, "process_open_fds", "Number of open file descriptors.",
                     open_fds);

    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        append_gauge(text, "process_max_fds", "Maximum number of open file descriptors.",
                     limit.rlim_cur);
}
