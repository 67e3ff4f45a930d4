/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ATTACK_H
#define TIP_ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What the attackers have in common: a Workload API client of a few lines, so that an attack is one
 * small static program without a library between it and the socket.
 */

/* Ends the program with 125 and a line on stderr: the attack itself went wrong, which is not a
 * result. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* A connected socket to the Workload API. */
int dial(const char *path);

/*
 * Writes a whole FetchX509SVID call (HTTP/2 preface, SETTINGS, HEADERS, DATA). False when the
 * connection is closed already.
 */
bool ask(int fd);
/* Only the second call of a connection: HEADERS and DATA on `stream` (3, 5, ...). */
bool ask_again(int fd, uint32_t stream);

struct answer {
	size_t bytes;      /* in all */
	size_t data_bytes; /* payload of DATA frames: what a caller without rights must never see */
	bool key;          /* a PKCS#8 private key was in it */
	bool closed;       /* the server closed the connection */
	bool ended;        /* the stream ended (trailers) */
};

/* Reads until a whole message came, the stream ended, the connection closed, or `ms` went by. */
struct answer hear(int fd, int ms);

/* Prints {"who":...,"data_bytes":...,"key":...,"closed":...,"ended":...} as one line on stdout. */
void report(const char *who, const struct answer *a);

/* Passes a descriptor over a UNIX socket, and takes one (-1: none came). */
void fd_send(int sock, int fd);
int fd_take(int sock);

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t now_ms(void);
void sleep_ms(int ms);

/* Waits (at most `ms`) until /proc/PID/exe is `path`; false if that does not happen. */
bool wait_exe(pid_t pid, const char *path, int ms);

#endif
