/* SPDX-License-Identifier: MIT
 *
 * IP addresses as values: literals in and out, IPv4 inside IPv6 unwrapped. An address is
 * ready to be handed to connect(2) or bind(2); its port is 0 unless it was set. No names,
 * no resolver, no system calls.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct err;

#define ADDRESS_TEXT_SIZE INET6_ADDRSTRLEN

struct address {
    socklen_t len; /* of the member in use */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    };
};

/* An IPv4 literal of four decimal parts without leading zeros, or an IPv6 literal without
 * zone or brackets. Names, short, octal and hexadecimal forms are refused, and so is
 * anything around the literal. The text needs no terminator. ERR_INVALID. */
bool address_parse(const char *text, size_t len, struct address *ret, struct err *err);

/* Copies what accept(2) and its like return. False for other families. */
bool address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct address *ret);

/* The local address and port of a socket. False for other families. */
bool address_of_socket(int fd, struct address *ret);

/* The IPv4 address inside ::ffff:0:0/96, port kept; any other address as it is. */
struct address address_unmap(const struct address *address);

/* The IPv4 address that this one leads to, port kept: inside ::ffff:0:0/96 (RFC 4291),
 * 64:ff9b::/96 (NAT64, RFC 6052) or 2002::/16 (6to4, RFC 3056); any other address as it is.
 * For judging only: packets to the two addresses take different paths. */
struct address address_unembed(const struct address *address);

/* Without port or brackets; RFC 5952 form. Returns ret_text. */
const char *address_format(const struct address *address, char ret_text[ADDRESS_TEXT_SIZE]);

uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);

/* 4 or 6. */
int address_family_number(const struct address *address);

/* The address in network order: 4 or 16 bytes, borrowed from `address`. */
const uint8_t *address_bytes(const struct address *address, size_t *ret_len);

/* 0.0.0.0 or ::, whatever the port. */
bool address_is_any(const struct address *address);

/* Same family and same address; ignores ports and unmaps nothing. */
bool address_equals(const struct address *a, const struct address *b);

/* 127.0.0.0/8, ::1, and both of them mapped. */
bool address_is_loopback(const struct address *address);

/* Whether the first `prefix` bits are those of `bits`, which is in network order and as
 * long as the addresses of `family`. False for the other family; nothing is unmapped. */
bool address_has_prefix(const struct address *address, int family, const uint8_t *bits,
                        unsigned prefix);
