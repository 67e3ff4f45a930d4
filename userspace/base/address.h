/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_ADDRESS_H
#define TIP_BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Where a TCP connection may go. */
union tip_address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* `text`: an address of IPv4, or of IPv6 without brackets. `port`: as a number. false: it is none.
 */
bool tip_address_parse(const char *text, uint16_t port, union tip_address *out);
/* A non-blocking socket that is connecting, the caller's; -1 with errno. */
int tip_address_connect(const union tip_address *to);

#endif
