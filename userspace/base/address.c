/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

bool tip_address_parse(const char *text, uint16_t port, union tip_address *out)
{
	*out = (union tip_address){0};
	if (inet_pton(AF_INET, text, &out->in.sin_addr) == 1) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(port);
		return true;
	}
	if (inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1) {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons(port);
		return true;
	}
	return false;
}

int tip_address_connect(const union tip_address *to)
{
	const socklen_t len = to->sa.sa_family == AF_INET ? sizeof(to->in) : sizeof(to->in6);
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd >= 0 && connect(fd, &to->sa, len) < 0 && errno != EINPROGRESS) {
		error = errno;
		close(fd);
		errno = error;
		fd = -1;
	}
	return fd;
}
