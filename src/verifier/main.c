/* SPDX-License-Identifier: MIT
 *
 * port-verifier: arguments, exit statuses. The statuses are those of enum status:
 *
 *   0  all required ports are reachable
 *   1  some are not
 *   2  wrong arguments
 *   3  no checker answered
 *   4  a system error
 *   5  as 0, but no checker gave a receipt
 *
 * Those of the command `receipt` are in receipt_run.h.
 */
#include "base/err.h"
#include "base/options.h"
#include "verifier/arguments.h"
#include "verifier/fetch.h"
#include "verifier/nonce_file.h"
#include "verifier/output.h"
#include "verifier/probe_run.h"
#include "verifier/receipt_run.h"
#include "verifier/verify.h"

#include <stdio.h>
#include <stdlib.h>

/* What was printed reached its reader, too. */
static enum status printed(void)
{
    return fflush(stdout) == 0 ? STATUS_OK : STATUS_SYSTEM;
}

static bool nonce_get(const struct arguments *arguments, struct pcp_nonce *ret,
                      struct err *err)
{
    if (!arguments->is_mapping)
        return true;
    return arguments->state
               ? nonce_file_load(arguments->state, ret, err) || err_prefix(err, "--state")
               : nonce_make(ret, err);
}

static enum status run(const struct arguments *arguments)
{
    struct err err = {0};
    struct pcp_nonce nonce = {0};
    enum status status = STATUS_SYSTEM;
    if (arguments->output && !output_try(arguments->output, &err)) {
        fprintf(stderr, "port-verifier: --output %s\n", err.message);
        return status;
    }
    bool is_written = arguments->action == ACTION_VERIFY && arguments->receipt;
    if (is_written && !output_try(arguments->receipt, &err)) {
        fprintf(stderr, "port-verifier: --receipt %s\n", err.message);
        return status;
    }
    if (!nonce_get(arguments, &nonce, &err)) {
        fprintf(stderr, "port-verifier: %s\n", err.message);
        return err.kind == ERR_INVALID ? STATUS_USAGE : STATUS_SYSTEM;
    }
    switch (arguments->action) {
    case ACTION_HELP:
        options_print_help(&options_table, stdout);
        return printed();
    case ACTION_VERSION:
        puts("port-verifier " PORT_CHECKER_VERSION);
        return printed();
    case ACTION_VERIFY:
        status = verify_run(arguments, &nonce, &err);
        break;
    case ACTION_PROBE:
        status = probe_run(arguments, &err);
        break;
    case ACTION_RECEIPT:
        status = receipt_run(arguments, &err);
        break;
    }
    if (status == STATUS_SYSTEM)
        fprintf(stderr, "port-verifier: %s\n", err.message);
    return status;
}

int main(int argc, char *argv[])
{
    struct arguments arguments;
    struct err err;
    if (!fetch_global_init(&err)) {
        fprintf(stderr, "port-verifier: %s\n", err.message);
        return STATUS_SYSTEM;
    }
    enum status status;
    if (arguments_parse(argc, argv, getenv("PORT_VERIFIER_SERVERS"), &arguments, &err)) {
        status = run(&arguments);
        arguments_done(&arguments);
    } else {
        fprintf(stderr, "port-verifier: %s\nTry: port-verifier --help\n", err.message);
        status = err.kind == ERR_INVALID ? STATUS_USAGE : STATUS_SYSTEM;
    }
    fetch_global_done();
    return (int)status;
}
