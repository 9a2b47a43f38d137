/* SPDX-License-Identifier: MIT */
#include "base/spawn.h"

#include "base/err.h"
#include "base/fd.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a line of shell; its output is in `ret_said`. Returns the status from waitpid(). */
static int run(const char *input, const char *line, char ret_said[64])
{
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_true(fd_write_all(in[1], input, strlen(input)));
    close(in[1]);

    char name[] = "sh", option[] = "-c", script[128];
    assert_true(strlen(line) < sizeof script);
    memcpy(script, line, strlen(line) + 1);
    char *argv[] = {name, option, script, NULL};
    const int fds[3] = {in[0], out[1], -1};
    pid_t child;
    assert_true(spawn_program("/bin/sh", argv, fds, &child, NULL));
    close(in[0]);
    close(out[1]);

    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    ssize_t len = read(out[0], ret_said, 63);
    assert_true(len >= 0);
    ret_said[len] = '\0';
    close(out[0]);
    return status;
}

static void a_program_has_the_descriptors_that_it_was_given(void **state)
{
    (void)state;
    char said[64];
    int status = run("hello", "cat; echo lost >&2; readlink /proc/self/fd/2", said);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(said, "hello/dev/null\n");
}

static void signals_that_are_blocked_or_ignored_here_are_not_there(void **state)
{
    (void)state;
    sigset_t all, before;
    sigfillset(&all);
    assert_int_equal(sigprocmask(SIG_SETMASK, &all, &before), 0);
    void (*handler)(int) = signal(SIGPIPE, SIG_IGN);

    char said[64];
    int by_pipe = run("", "kill -PIPE $$; echo alive", said);
    int by_term = run("", "kill -TERM $$; echo alive", said);
    signal(SIGPIPE, handler);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_true(WIFSIGNALED(by_pipe) && WTERMSIG(by_pipe) == SIGPIPE);
    assert_true(WIFSIGNALED(by_term) && WTERMSIG(by_term) == SIGTERM);
}

static void a_program_that_is_not_there_is_no_child(void **state)
{
    (void)state;
    char name[] = "nothing";
    char *argv[] = {name, NULL};
    const int fds[3] = {-1, -1, -1};
    pid_t child = 1;
    struct err err;
    assert_false(spawn_program("/nowhere/nothing", argv, fds, &child, &err));
    assert_int_equal(child, 0);
    assert_int_equal(err.errnum, ENOENT);
    assert_non_null(strstr(err.message, "/nowhere/nothing"));
}

static void what_a_descriptor_does_not_take_is_a_failure(void **state)
{
    (void)state;
    static const char data[1 << 20];
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(fd_write_all(ends[1], data, 4096));
    assert_false(fd_write_all(ends[1], data, sizeof data));
    assert_int_equal(errno, EAGAIN);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_has_the_descriptors_that_it_was_given),
        cmocka_unit_test(signals_that_are_blocked_or_ignored_here_are_not_there),
        cmocka_unit_test(a_program_that_is_not_there_is_no_child),
        cmocka_unit_test(what_a_descriptor_does_not_take_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
