/* SPDX-License-Identifier: MIT
 *
 * One attempt: a socket, its connect(2), and the reading of its result. Only system calls;
 * the engine knows whose attempt it is and what happens next.
 *
 * The attempt is half-open. TCP_QUICKACK off holds back the acknowledgement that would
 * finish the handshake, and SO_LINGER 0 makes close(2) send a reset: SYN, SYN-ACK, RST on
 * the wire, and the target's accept(2) never returns, if the close follows
 * within the delayed-ACK time (about 150 ms).
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"
#include "probe/source_ports.h"
#include "probe/verdict.h"

#include <stdbool.h>
#include <stdint.h>

struct err;

/* A later refusal may answer a retransmitted SYN, so it is not a sample of the round trip.
 */
#define ATTEMPT_SAMPLE_MS 900

struct attempt_reading {
    enum outcome outcome;
    int errnum;    /* the evidence; 0 when open or pending */
    bool is_alive; /* the socket still waits for a handshake, whatever the outcome says */

    /* Open only. A TCP socket can connect to itself or to another socket of ours that is
     * connecting to it; both look like an open port. */
    bool is_self;     /* both ends are this socket */
    bool is_own_host; /* the far end has our own address */
    unsigned repeats; /* SYNs that the kernel sent again */

    bool has_rtt;
    struct span rtt;

    struct icmp_error icmp; /* refused or unreachable by an ICMP error */
    bool is_final;          /* unreachable: no path will come back soon, see
                               icmp_is_prohibition(); or our own kernel finds no neighbour */
};

/* Sends a SYN to `to` from the next port of `source` in `sources`. `is_full`: the handshake
 * will be completed, so that the target can send. On OUTCOME_PENDING *ret_fd is a socket
 * that the caller must close; on any other outcome there is no socket, and *ret_errnum says
 * why. */
enum outcome attempt_open(const struct address *to, struct source_ports *sources,
                          struct source_choice *source, bool is_full, int *ret_fd,
                          int *ret_errnum);

/* Reads its result so far. `may_have_error`: an event said so, or it is unknown. Reading
 * consumes the errors that it finds. `age` is the time since attempt_open(). */
struct attempt_reading attempt_read(int fd, const struct address *to, bool may_have_error,
                                    struct span age);

struct attempt_repeats {
    unsigned sent; /* SYNs that the kernel has sent again so far */

    /* The latest of them never left: a firewall rule on our output, a full connection
     * table or queue, a link that is down, a missing route. connect(2) hides this for the
     * first SYN, but the socket shows it for a repetition: one was due (tcpi_retransmits)
     * and none is in flight (tcpi_retrans). */
    bool is_held_back;
};

struct attempt_repeats attempt_repeats_read(int fd);

/* Does this kernel tell what probes need to know? Probes a listener of our own on loopback,
 * within a second. False with the reason where an open port would not be told from a silent
 * one, as under emulators that hide TCP_INFO. */
bool attempt_check_kernel(struct err *err);
