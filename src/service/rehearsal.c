/* SPDX-License-Identifier: MIT */
#include "service/rehearsal.h"

#include "base/err.h"
#include "base/fd.h"
#include "service/generation.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>

/* Not a setting: it is set only for the program that a reload tries. */
#define REHEARSAL_NAME "CHECKER_REHEARSAL"

void rehearsal_ask(void)
{
    setenv(REHEARSAL_NAME, "1", true);
}

bool rehearsal_is_asked(void)
{
    bool is_asked = getenv(REHEARSAL_NAME) != NULL;
    unsetenv(REHEARSAL_NAME);
    return is_asked;
}

bool rehearsal_await(struct generation *child, struct err *err)
{
    int status;
    struct report report;
    struct pollfd reports = {.fd = child->report_fd, .events = POLLIN};
    while (poll(&reports, 1, -1) < 0 && errno == EINTR)
        continue;
    report_read(child->report_fd, true, &report);
    fd_close(&child->report_fd);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (report.is_able && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;

    if (report.reason[0] == '\0')
        generation_write_end(child, status, report.reason);
    return err_set(err, ERR_SYSTEM, "%s", report.reason);
}
