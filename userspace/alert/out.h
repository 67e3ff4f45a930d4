/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ALERT_OUT_H
#define TIP_ALERT_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alert/line.h"
#include "base/error.h"

/*
 * Ways out of the daemon: a descriptor, syslog, a program, a server. Each belongs to one sink and
 * is used by that sink's thread alone, so none of this locks.
 */

/* How long a delivery may go on. */
struct tip_out_pace {
	uint64_t timeout_ns;     /* without progress, then it gives up for now */
	bool (*late)(void *ctx); /* told to stop, and the time for it is over */
	void *ctx;
};

struct tip_out;

struct tip_out_ops {
	/*
	 * Hands over whole lines, in order; `*taken` of `n` were. 0: all of them. Otherwise what
	 * stands in the way of the next one: EAGAIN, nothing now but later: the next call begins
	 * with the same line; ECANCELED, pace->late(); EMSGSIZE (too long) and EBADMSG (refused),
	 * it will never take this line; any other errno, it could not take it.
	 */
	int (*deliver)(struct tip_out *out, struct tip_line *const *lines, size_t n, size_t *taken,
		       const struct tip_out_pace *pace);
	/* A descriptor that may say something while nothing is delivered, -1: none. NULL: never. */
	int (*watch)(const struct tip_out *out);
	void (*attend)(struct tip_out *out); /* it is readable */
	/* Takes `fd` over in place of the one in use. NULL: has none of that kind. */
	void (*set_fd)(struct tip_out *out, int fd);
	/* `deadline_ns` (CLOCK_MONOTONIC): how long it may wait for who reads. Frees `out`. */
	void (*close)(struct tip_out *out, uint64_t deadline_ns);
};

struct tip_out {
	const struct tip_out_ops *ops;
};

/* stdout, a file, a pipe. Took: write(2) returned for the whole line. Closes `fd` when `own`. */
struct tip_out *tip_out_fd(int fd, bool own);

/*
 * Datagrams to a local syslog daemon (RFC 3164, without a host name, as syslog(3) sends them).
 * Took: its socket did. `facility`: LOG_DAEMON and the like, shifted as in <syslog.h>.
 */
struct tip_out *tip_out_syslog(const char *path, int facility);

/*
 * A child with alerts on its standard input; what it says on its standard error goes to the log.
 * `argv` is NULL-terminated and copied; argv[0] is executed as it stands. `keep_alive`: one child
 * for all alerts, started again when it ends; otherwise one for each alert, which has to end within
 * the timeout. Took: the whole line is in its pipe; no program can say that it has read it.
 */
struct tip_out *tip_out_program(const char *const *argv, bool keep_alive);

/*
 * A server that takes one alert a request, by way of the front: what is set with set_fd is one end
 * of a pair that speaks tipstaff/posting.h. Connections are opened here, to `host` (a name or an
 * address) and `port`; `resolver`: see tip_dialler_new(). A line for which the server was silent
 * more than `max_timeouts` times in a row it never takes. Took: the server has answered with 2xx.
 */
struct tip_out *tip_out_http(const char *host, uint16_t port, const char *resolver,
			     uint32_t max_timeouts);

/* Opens an alert file: appended, created 0600, no symlink, a regular file or a character device.
 * fd, or -1 with `err`. */
int tip_out_open_file(const char *path, struct tip_error *err);

/* ---- writing to a descriptor, for those above -------------------------------------------------
 */

struct tip_writer {
	int fd;
	bool is_socket, chunked;
	bool torn;     /* the last line has no end, and will have none but a newline */
	size_t offset; /* bytes of the next line that are written already */
	/* Watched while `fd` is not writable, -1: none. */
	int side;
	void (*attend)(void *ctx);
	void *ctx;
};

/* Begins with `fd`: nothing of a line is written there. */
void tip_writer_use(struct tip_writer *w, int fd);
/* As tip_out_ops.deliver. */
int tip_writer_deliver(struct tip_writer *w, struct tip_line *const *lines, size_t n, size_t *taken,
		       const struct tip_out_pace *pace);

#endif
