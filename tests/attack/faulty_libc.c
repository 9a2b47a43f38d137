/* SPDX-License-Identifier: MIT
 *
 * To be preloaded: lets allocations of one process fail, and moves the calendar's clock. An
 * attack controls it through a file (FAULTY_LIBC) that both map; the mapping is made before
 * the service confines itself, and its child inherits it..
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EVERY_PROCESS (-1)

/* The layout of the file. */
struct orders {
    _Atomic int64_t pid;     /* whose allocations count; 0 = none, -1 = every process's */
    _Atomic uint64_t count;  /* allocations so far */
    _Atomic uint64_t first;  /* the first that fails; they count from 1 */
    _Atomic uint64_t length; /* how many fail in a row */
    _Atomic uint64_t every;  /* and again after so many; 0 = never */
    _Atomic int64_t shift;   /* of CLOCK_REALTIME, in nanoseconds */
};

static struct orders nothing;
static struct orders *orders = &nothing;

/* glibc's own allocator: a lookup of the next one would allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

__attribute__((constructor)) static void orders_map(void)
{
    const char *path = getenv("FAULTY_LIBC");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED)
        orders = page;
    close(fd);
}

/* --- allocations ---------------------------------------------------------------------- */

static bool is_in_row(uint64_t number)
{
    uint64_t first = orders->first;
    if (first == 0 || number < first)
        return false;
    uint64_t beyond = number - first;
    return (orders->every > 0 ? beyond % orders->every : beyond) < orders->length;
}

static bool fails(void)
{
    int64_t pid = orders->pid;
    if (pid == 0 || (pid != EVERY_PROCESS && pid != getpid()))
        return false;
    if (!is_in_row(atomic_fetch_add(&orders->count, 1) + 1))
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return fails() ? NULL : __libc_realloc(old, total);
}

void *memalign(size_t alignment, size_t size)
{
    return fails() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *made = memalign(alignment, size);
    if (!made)
        return ENOMEM;
    *ret = made;
    return 0;
}

/* --- the calendar's clock ------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (syscall(SYS_clock_gettime, clock, ret) != 0)
        return -1;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        int64_t ns = (int64_t)ret->tv_sec * 1000000000 + ret->tv_nsec + orders->shift;
        *ret = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    }
    return 0;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}
