/* SPDX-License-Identifier: MIT */
#include "probe/evidence.h"

#include <errno.h>

bool evidence_judge(const struct evidence *evidence, unsigned refusals_needed,
                    bool is_time_up, enum port_state *ret_state, int *ret_errnum)
{
    unsigned refusals_enough = is_time_up ? 1 : refusals_needed;
    if (evidence->refusals >= refusals_enough) {
        *ret_state = PORT_STATE_CLOSED;
        *ret_errnum = ECONNREFUSED;
        return true;
    }

    unsigned errors_enough = is_time_up ? 1 : EVIDENCE_ERRORS_NEEDED;
    if (evidence->errors >= errors_enough) {
        *ret_state = PORT_STATE_UNREACHABLE;
        *ret_errnum = evidence->error_errnum;
        return true;
    }

    if (!is_time_up)
        return false;
    *ret_state = PORT_STATE_FILTERED;
    *ret_errnum = ETIMEDOUT;
    return true;
}
