/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTROL_CONTROL_H
#define TIP_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>
#include <jansson.h>

#include "base/error.h"

/*
 * The local control socket. One JSON document a line, UTF-8, at most TIP_CONTROL_MAX_REQUEST bytes:
 *   -> {"version":"0.1.0","method":"rules.add","params":{...}}
 *   <- {"version":"0.1.0","result":{...}}                        one answer, then the server
 * closes; or
 *   <- {"version":"0.1.0","error":{"text":"...","hint":"...","file":"...","line":1,"column":2}}
 *   <- {"event":{...}}\n{"event":{...}}\n ...                    after
 * {"version":..,"stream":true}, until either side closes
 *
 * Only uid 0 of the initial user namespace outside any container cgroup may talk; anyone else gets
 * an error and is closed.
 */
#define TIP_CONTROL_MAX_REQUEST (4u << 20)
#define TIP_CONTROL_MAX_BEHIND  (1u << 20)
#define TIP_CONTROL_MAX_CLIENTS 32
#define TIP_CONTROL_IDLE_MS                                                                        \
	10000 /* from accept() to a whole request, and between two bytes of an answer taken */

/* The one method that two versions speak with each other: how the next daemon takes over. */
#define TIP_CONTROL_HANDOVER "handover"

struct tip_control;
struct tip_control_client; /* one connection */

struct tip_control_method {
	const char *name;
	/*
	 * Returns the result (a new reference) or NULL with `err` and maybe `*hint` (static text).
	 * A streaming method calls tip_control_stream() and returns NULL with err->text empty.
	 */
	json_t *(*run)(void *ctx, struct tip_control_client *client, json_t *params,
		       struct tip_error *err, const char **hint);
};

struct tip_control_ops {
	/* May this peer talk? NULL: only uid 0 is checked. False with a reason for the peer. */
	bool (*peer_ok)(void *ctx, int fd, char *why, size_t size);
	void *ctx; /* handed to methods too */
};

/*
 * Listens on `path` (0600; a stale socket file is replaced, a live one is an error), or takes over
 * `listener`, which does so already (-1: there is none). NULL with `err`.
 */
struct tip_control *tip_control_new(struct event_base *base, const char *path, int listener,
				    const struct tip_control_method *methods, size_t count,
				    const struct tip_control_ops *ops, struct tip_error *err);
/* Removes the socket file, unless `leave`: somebody else goes on listening there. */
void tip_control_free(struct tip_control *c, bool leave);
/* The listener, to be handed on. */
int tip_control_listener(const struct tip_control *c);

/*
 * Turns the connection into a stream; `closed` is called when it ends, from the event loop or
 * tip_control_free(), never from inside tip_control_send(). Afterwards `client` is gone.
 */
void tip_control_stream(struct tip_control_client *client, void (*closed)(void *ctx), void *ctx);
/*
 * Sends {"event":<json>} to a stream; `json` is one ready document. A client that is more than
 * TIP_CONTROL_MAX_BEHIND bytes behind is closed; what a method sends before it returns (a replay)
 * does not count.
 */
void tip_control_send(struct tip_control_client *client, const char *json, size_t len);
/* "uid=0 pid=123" of the peer, for audit lines. */
const char *tip_control_peer(const struct tip_control_client *client);

/* ---- the client end, for the CLI -------------------------------------------------- */

/* Does somebody listen on `path`? 1: yes; 0: no (no socket, or a stale one); -1: it cannot be told
 * (errno). */
int tip_control_probe(const char *path);

/*
 * Sends a request and returns the "result" (new reference), or NULL with `err` and `*hint`
 * (malloc'ed, may be NULL). A different version on the other side is an error that says both
 * versions.
 */
json_t *tip_control_call(const char *path, const char *method, json_t *params,
			 struct tip_error *err, char **hint);
/* Streaming: `event` is called for each; false ends it. 0, or -1 with `err`. */
int tip_control_follow(const char *path, const char *method, json_t *params,
		       bool (*event)(void *ctx, json_t *ev), void *ctx, struct tip_error *err,
		       char **hint);

#endif
