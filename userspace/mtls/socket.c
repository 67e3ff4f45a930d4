/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define USER_TIMEOUT_MS      60000
#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES     3

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int set_linger(int fd, int on)
{
	const struct linger l = {.l_onoff = on, .l_linger = 0};

	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

int tip_leg_prepare(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
		return -1;
	if (set_linger(fd, 1) < 0)
		return -1;
	return set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* Failing here costs only how soon a dead peer is noticed. */
void tip_leg_watch_peer(int fd)
{
	(void)set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
	(void)set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	(void)set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	(void)set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
	(void)set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void tip_leg_close(int fd, bool clean)
{
	(void)set_linger(fd, !clean);
	close(fd);
}

int tip_leg_error(int fd)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	return error;
}
