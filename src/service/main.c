/* SPDX-License-Identifier: MIT
 *
 * port-checker: arguments, settings, exit statuses.
 *
 *   0  ended by SIGTERM or SIGINT; or --help, --version, --check-config,
 *      --new-receipt-key succeeded; or all layers of --check-sandbox hold; or
 *      --check-health found a service
 *   1  a system error, or a layer does not hold, or no service answers
 *   2  wrong arguments or settings
 */
#include "base/err.h"
#include "base/log.h"
#include "base/options.h"
#include "base/text.h"
#include "base/tls_identity.h"
#include "receipt/receipts.h"
#include "service/confine.h"
#include "service/desk.h"
#include "service/generation.h"
#include "service/health.h"
#include "service/receipt_keys.h"
#include "service/rehearsal.h"
#include "service/service.h"
#include "service/sockets.h"
#include "service/tls.h"
#include "service/trial.h"

#include <errno.h>
#include <signal.h>
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
    ACTION_CHECK_HEALTH,
    ACTION_CHECK_SANDBOX,
    ACTION_NEW_RECEIPT_KEY,
};

struct arguments {
    enum action action;
    const char *env_file; /* borrowed from argv, as is the next one */
    const char *key_file; /* ACTION_NEW_RECEIPT_KEY */
};

static void print_help(void)
{
    options_print_help(&options_table, stdout);
    fputc('\n', stdout);
    settings_print_help(stdout);
    fputs("\n"
          "On SIGTERM or SIGINT, the service finishes running checks and exits. SIGHUP\n"
          "reloads it without refusing a connection. Exit status: 0 success, 1 a system\n"
          "error, 2 wrong arguments or settings.\n",
          stdout);
}

static bool take_env_file(struct arguments *arguments, const char *value, struct err *err)
{
    arguments->env_file = value;
    return value[0] || err_set(err, ERR_INVALID, "the name of a file");
}

static bool take_new_receipt_key(struct arguments *arguments, const char *value,
                                 struct err *err)
{
    arguments->action = ACTION_NEW_RECEIPT_KEY;
    arguments->key_file = value;
    return value[0] || err_set(err, ERR_INVALID, "the name of a file");
}

/* Those without a value. */
#define ACT(function, what)                                                                \
    static bool function(struct arguments *arguments, const char *value, struct err *err)  \
    {                                                                                      \
        (void)value;                                                                       \
        (void)err;                                                                         \
        arguments->action = what;                                                          \
        return true;                                                                       \
    }
ACT(take_check_config, ACTION_CHECK_CONFIG)
ACT(take_check_health, ACTION_CHECK_HEALTH)
ACT(take_check_sandbox, ACTION_CHECK_SANDBOX)
ACT(take_help, ACTION_HELP)
ACT(take_version, ACTION_VERSION)

static bool take(void *ctx, size_t row, const char *value, struct err *err)
{
    static bool (*const takes[])(struct arguments *, const char *, struct err *) = {
#define OPTION(take, ...) take,
#include "service/options.def"
#undef OPTION
    };
    return takes[row](ctx, value, err);
}

/* Parses the options into `arguments`. */
static bool arguments_parse(int argc, char *argv[], struct arguments *ret, struct err *err)
{
    struct option_rest rest;
    if (!options_parse(&options_table, argc, argv, take, ret, &rest, err))
        return false;
    if (!rest.is_ended && rest.operand_count > 0)
        return err_set(err, ERR_INVALID,
                       "unexpected argument \"%.60s\"; give settings in the environment "
                       "or in a file",
                       rest.operands[0]);
    return true;
}

/* Keeps warnings until the log format is known. */
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

/* Errors in the settings are printed plainly, because the log format is a setting
 * itself. */
static int complain(const struct err *err)
{
    fprintf(stderr, "%sport-checker: %s\n", log_priority(LOG_LEVEL_ERROR), err->message);
    return err->kind == ERR_INVALID ? STATUS_USAGE : STATUS_SYSTEM;
}

/* Whether standard output was written completely. */
static int printed(void)
{
    /* A write before may have failed, with the same errno. */
    if (fflush(stdout) == 0 && !ferror(stdout))
        return STATUS_FINE;

    struct err err;
    err_sys(&err, errno, "standard output");
    return complain(&err);
}

static int check_config(const struct service *service)
{
    struct tls_identity *tls;
    struct office office = {0};
    struct err err;
    if (!tls_load(&service->settings, &tls, &err))
        return complain(&err);

    tls_identity_free(tls);
    if (!office_load(&office, &service->settings, &err))
        return complain(&err);

    office_done(&office);
    struct receipts *receipts;
    if (!receipt_keys_load(&service->settings, &receipts, &err))
        return complain(&err);

    receipts_free(receipts);
    /* A service that wants to reload has started this process: reload_check_start(). */
    if (!sockets_try(&service->settings.host, STDIN_FILENO, &err))
        return complain(&err);

    struct confine_plan plan;
    if (!confine_plan_make(&service->settings, &plan, &err) ||
        (service->settings.sandbox == SANDBOX_REQUIRE &&
         !trial_confine(&plan, &service->settings, &err)))
        return complain(&err);

    settings_print_values(&service->settings, stdout);
    return printed();
}

static int check_sandbox(const struct service *service)
{
    struct confine_plan plan;
    struct err err;
    if (!confine_plan_make(&service->settings, &plan, &err))
        return complain(&err);

    bool is_good = trial_print(&plan, stdout);
    int status = printed();
    return is_good ? status : STATUS_SYSTEM;
}

static int check_health(const struct service *service)
{
    struct err err;
    return health_ask(&service->settings, &err) ? STATUS_FINE : complain(&err);
}

static int rehearse(struct service *service)
{
    struct err err;
    return service_rehearse(service, &err) ? REHEARSAL_PASSED : complain(&err);
}

static int run(struct service *service, const struct arguments *arguments, char *argv[],
               const struct err *fault)
{
    struct invocation invocation = {.env_file = arguments->env_file, .argv = argv};
    ssize_t len =
        readlink("/proc/self/exe", invocation.binary, sizeof invocation.binary - 1);
    if (len < 0) {
        struct err err;
        err_sys(&err, errno, "/proc/self/exe");
        return complain(&err);
    }
    return service_run(service, &invocation, fault);
}

static int load(struct service *service, const struct arguments *arguments, char *argv[])
{
    struct text warnings;
    struct err err;
    text_init(&warnings, WARNINGS_MAX);
    bool is_good = settings_load(environ, arguments->env_file, warn, &warnings,
                                 &service->settings, &err);
    bool is_run = arguments->action == ACTION_RUN;
    bool is_service = is_good && is_run;
    if (is_run)
        signal(SIGPIPE, SIG_IGN); /* before the first line of the log */
    log_setup(is_service ? service->settings.log_format : LOG_FORMAT_TEXT,
              is_service && service->settings.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    log_warnings(&warnings);
    text_done(&warnings);
    if (!is_good && !(is_run && generation_is_left()))
        return complain(&err);

    switch (arguments->action) {
    case ACTION_CHECK_CONFIG:
        return check_config(service);
    case ACTION_CHECK_HEALTH:
        return check_health(service);
    case ACTION_CHECK_SANDBOX:
        return check_sandbox(service);
    case ACTION_RUN:
    case ACTION_HELP:
    case ACTION_VERSION:
    case ACTION_NEW_RECEIPT_KEY:
        break;
    }
    if (rehearsal_is_asked())
        return rehearse(service);
    return run(service, arguments, argv, is_good ? NULL : &err);
}

static int make_receipt_key(const struct arguments *arguments)
{
    struct err err;
    return receipt_keys_make(arguments->key_file, stdout, &err) ? printed()
                                                                : complain(&err);
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
    struct arguments arguments = {.action = ACTION_RUN};
    struct err err;
    if (!arguments_parse(argc, argv, &arguments, &err)) {
        complain(&err);
        fprintf(stderr, "%sTry: port-checker --help\n", log_priority(LOG_LEVEL_ERROR));
        return STATUS_USAGE;
    }
    switch (arguments.action) {
    case ACTION_HELP:
        print_help();
        return printed();
    case ACTION_VERSION:
        puts("port-checker " PORT_CHECKER_VERSION);
        return printed();
    case ACTION_NEW_RECEIPT_KEY:
        return make_receipt_key(&arguments);
    case ACTION_RUN:
    case ACTION_CHECK_CONFIG:
    case ACTION_CHECK_HEALTH:
    case ACTION_CHECK_SANDBOX:
        return start(&arguments, argv);
    }
    return STATUS_USAGE;
}
