/* SPDX-License-Identifier: MIT
 *
 * One attempt: a socket, its connect(2), and the reading of what became of it. Only system
 * calls; whose attempt it is and what follows is the engine's business.
 *
 * The attempt is half-open. TCP_QUICKACK off holds back the acknowledgement that would
 * finish the handshake, and SO_LINGER 0 makes close(2) send a reset: SYN, SYN-ACK, RST on
 * the wire, and the target's accept(2) never returns, provided that the close follows
 * within the delayed-ACK time (some 150 ms).
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"
#include "probe/verdict.h"

#include <stdbool.h>
#include <stdint.h>

/* A refusal later than this may answer a retransmitted SYN: no sample of the round trip. */
#define ATTEMPT_SAMPLE_MS 900

struct attempt_reading {
    enum outcome outcome;
    int errnum;    /* the evidence; 0 when open or pending */
    bool is_alive; /* the socket still waits for a handshake, whatever the outcome says */

    /* Open only. A TCP socket can connect to itself or to another socket of ours that is
     * connecting to it; both look like an open port. */
    bool is_self;     /* both ends are this very socket */
    bool is_own_host; /* the far end has our own address */
    unsigned repeats; /* SYNs that the kernel sent again */

    bool has_rtt;
    struct span rtt;
};

/* Sends a SYN to `to`. `is_full`: the handshake will be finished, so that the target can
 * talk. On OUTCOME_PENDING *ret_fd is a socket, the caller's to close; on
 * any other outcome there is none and *ret_errnum says why. */
enum outcome attempt_open(const struct address *to, bool is_full, int *ret_fd,
                          int *ret_errnum);

/* Reads what has become of it. `may_have_error`: an event said so, or nobody knows. Reading
 * consumes the errors that it finds. `age` is the time since attempt_open(). */
struct attempt_reading attempt_read(int fd, const struct address *to, bool may_have_error,
                                    struct span age);

struct attempt_repeats {
    unsigned sent; /* SYNs that the kernel has sent again so far */

    /* The latest of them never left: a firewall rule on our output, a full connection
     * table or queue, a link that is down, a route that is gone. connect(2) hides that of
     * the first SYN, but of a repetition the socket tells: it was due (tcpi_retransmits)
     * and none is under way (tcpi_retrans). */
    bool is_held_back;
};

struct attempt_repeats attempt_repeats_read(int fd);
