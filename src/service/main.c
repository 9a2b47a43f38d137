/* SPDX-License-Identifier: MIT
 *
 * port-checker: arguments, settings, exit statuses.
 *
 *   0  ended by SIGTERM or SIGINT; or --help, --version, --check-config were fine
 *   1  the system refused something
 *   2  arguments or settings make no sense
 */
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "base/tls_identity.h"
#include "service/service.h"
#include "service/sockets.h"
#include "service/tls.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STATUS_FINE,
    STATUS_SYSTEM,
    STATUS_USAGE,
};

#define WARNINGS_MAX (16 * 1024)

enum action {
    ACTION_RUN,
    ACTION_HELP,
    ACTION_VERSION,
    ACTION_CHECK_CONFIG,
    ACTION_COMPLAIN,
};

struct arguments {
    enum action action;
    const char *env_file; /* borrowed from argv */
};

static void print_help(void)
{
    fputs(
        "port-checker tells providers which of their TCP ports can be reached.\n"
        "\n"
        "usage: port-checker [--env-file FILE] [--check-config]\n"
        "\n"
        "  --env-file FILE  read settings from FILE instead of .env\n"
        "  --check-config   print the settings in force and exit; 0 when they make sense\n"
        "  --help           print this and exit\n"
        "  --version        print the version and exit\n"
        "\n"
        "Settings come from the environment, then from the file.\n"
        "\n",
        stdout);
    settings_print_help(stdout);
    fputs(
        "\n"
        "SIGTERM and SIGINT let running checks finish; SIGHUP reloads without refusing a\n"
        "connection. Exit status: 0 fine, 1 the system refused, 2 wrong settings or\n"
        "arguments.\n",
        stdout);
}

static struct arguments arguments_parse(int argc, char *argv[])
{
    static const struct option options[] = {
        {"help", no_argument, NULL, ACTION_HELP},
        {"version", no_argument, NULL, ACTION_VERSION},
        {"check-config", no_argument, NULL, ACTION_CHECK_CONFIG},
        {"env-file", required_argument, NULL, 'e'},
        {0},
    };
    struct arguments arguments = {.action = ACTION_RUN};
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'e')
            arguments.env_file = optarg;
        else if (option == '?')
            return (struct arguments){.action = ACTION_COMPLAIN};
        else
            arguments.action = option == 'h' ? ACTION_HELP : (enum action)option;
    }
    if (arguments.env_file && arguments.env_file[0] == '\0') {
        fputs("port-checker: --env-file \"\": a file's name is expected\n", stderr);
        arguments.action = ACTION_COMPLAIN;
    }
    if (optind < argc) {
        fprintf(stderr, "port-checker: unexpected argument \"%s\"\n", argv[optind]);
        arguments.action = ACTION_COMPLAIN;
    }
    return arguments;
}

/* Warnings are kept until it is known in which form the log is wanted. */
static void warn(void *ctx, const char *message)
{
    struct text *warnings = ctx;
    text_printf(warnings, "%s\n", message);
}

static void log_warnings(const struct text *warnings)
{
    const char *line = warnings->data;
    for (const char *end; line && (end = strchr(line, '\n')); line = end + 1)
        log_message(LOG_LEVEL_WARNING, "settings", "%.*s", (int)(end - line), line);
}

/* The log's format is a setting itself: what is wrong with the settings is told plainly. */
static int complain(const struct err *err)
{
    fprintf(stderr, "port-checker: %s\n", err->message);
    return err->kind == ERR_INVALID ? STATUS_USAGE : STATUS_SYSTEM;
}

/* What was printed reached its reader, too. */
static int printed(void)
{
    if (fflush(stdout) == 0)
        return STATUS_FINE;

    struct err err;
    err_sys(&err, errno, "standard output");
    return complain(&err);
}

static int check_config(const struct service *service)
{
    struct tls_identity *tls;
    struct err err;
    if (!tls_load(&service->settings, &tls, &err))
        return complain(&err);

    tls_identity_free(tls);
    /* Asked by a service that wants to reload: reload_check_start(). */
    if (!sockets_try(&service->settings.host, STDIN_FILENO, &err))
        return complain(&err);

    settings_print_values(&service->settings, stdout);
    return printed();
}

static int run(struct service *service, const struct arguments *arguments, char *argv[])
{
    struct invocation invocation = {.env_file = arguments->env_file, .argv = argv};
    ssize_t len =
        readlink("/proc/self/exe", invocation.binary, sizeof invocation.binary - 1);
    if (len < 0) {
        struct err err;
        err_sys(&err, errno, "/proc/self/exe");
        return complain(&err);
    }
    return service_run(service, &invocation);
}

static int load(struct service *service, const struct arguments *arguments, char *argv[])
{
    struct text warnings;
    struct err err;
    text_init(&warnings, WARNINGS_MAX);
    bool is_good = settings_load(environ, arguments->env_file, warn, &warnings,
                                 &service->settings, &err);
    bool is_service = is_good && arguments->action == ACTION_RUN;
    if (is_service)
        log_setup(service->settings.log_format,
                  service->settings.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    log_warnings(&warnings);
    text_done(&warnings);
    if (!is_good)
        return complain(&err);

    return is_service ? run(service, arguments, argv) : check_config(service);
}

static int start(const struct arguments *arguments, char *argv[])
{
    struct service *service = calloc(1, sizeof *service);
    if (!service) {
        struct err err;
        err_sys(&err, ENOMEM, "settings");
        return complain(&err);
    }

    int status = load(service, arguments, argv);
    free(service);
    return status;
}

int main(int argc, char *argv[])
{
    struct arguments arguments = arguments_parse(argc, argv);
    switch (arguments.action) {
    case ACTION_HELP:
        print_help();
        return printed();
    case ACTION_VERSION:
        puts("port-checker " PORT_CHECKER_VERSION);
        return printed();
    case ACTION_COMPLAIN:
        fputs("Try: port-checker --help\n", stderr);
        return STATUS_USAGE;
    case ACTION_RUN:
    case ACTION_CHECK_CONFIG:
        return start(&arguments, argv);
    }
    return STATUS_USAGE;
}
