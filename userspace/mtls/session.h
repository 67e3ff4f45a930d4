/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_SESSION_H
#define TIP_MTLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "mtls/backend.h"
#include "mtls/cause.h"
#include "mtls/svid.h"
#include "mtls/trust.h"
#include "mtls/wire.h"

/*
 * One mutual TLS 1.3 handshake on a connected socket, in steps that never block.
 *
 *   client  hello -> verify the server, hold it against the pins -> [verdict record] -> DONE
 *   server  look at the first bytes -> verify the client -> authorise -> JUDGED: the owner dials
 * the application and says tip_session_verdict() -> [verdict record] -> DONE
 *
 * The verdict record is exchanged where both ends have our ALPN; with any other peer DONE means
 * that the handshake is done. What does not begin as TLS gets not one byte.
 */
struct tip_session;

/* The peer has proved to be `peer_id`. May it come in? Called once, on a server. */
typedef enum tip_verdict (*tip_authorise_fn)(void *ctx, const char *peer_id, uint16_t *reason);

struct tip_session_config {
	struct tip_tls_svid *svid;   /* ours; a reference is taken */
	struct tip_bundles *bundles; /* outlives the session */
	bool server;
	/* Clients: the IDs one of which the server must have. At least one. Copied. */
	const char *const *expected;
	size_t nexpected;
	/* Servers. */
	tip_authorise_fn authorise;
	void *ctx;
	uint64_t timeout_ns;               /* from now to DONE, the application's dial included */
	const struct tip_records *records; /* NULL: by OpenSSL. Outlives the session */
};

/*
 * Takes over `fd`, connected TCP, and makes it non-blocking with SO_LINGER {1,0}. NULL with `err`,
 * and `fd` still the caller's.
 */
struct tip_session *tip_session_new(int fd, const struct tip_session_config *config,
				    struct tip_error *err);
/* Closes what is still its own: with a reset, unless the peer was told why. */
void tip_session_free(struct tip_session *s);

enum tip_step {
	TIP_STEP_WANT_READ,  /* call again when the socket is readable */
	TIP_STEP_WANT_WRITE, /* call again when it is writable */
	TIP_STEP_JUDGED,     /* server: dial the application, then tip_session_verdict() */
	TIP_STEP_DONE,       /* take it */
	TIP_STEP_FAILED,     /* tip_session_cause() */
	TIP_STEP_ON,         /* never returned: between the parts of a step */
};

/*
 * Goes on as far as it can. Also to be called at the deadline, which makes it fail. Once
 * JUDGED or DONE a call finds out whether the peer is still there; the socket may be readable all
 * the time then. What it waits for is an edge of readiness: edge-triggered events suffice.
 */
enum tip_step tip_session_step(struct tip_session *s);

/*
 * Server, while JUDGED: what came of the dial. Then step on: OK leads to DONE, all else to FAILED
 * once the client knows.
 */
void tip_session_verdict(struct tip_session *s, enum tip_verdict verdict, uint16_t reason);

/* CLOCK_MONOTONIC, ns. */
uint64_t tip_session_deadline(const struct tip_session *s);
int tip_session_fd(const struct tip_session *s);

/* Why it failed, and a sentence about it that names the peer and what OpenSSL said. */
enum tip_mtls_cause tip_session_cause(const struct tip_session *s);
const char *tip_session_text(const struct tip_session *s);

/* The ID that the peer's certificate names, also one that was not believed; NULL: none yet. */
const char *tip_session_peer_id(const struct tip_session *s);
/* The peer has our ALPN: there is, or was, a verdict record. */
bool tip_session_has_verdict(const struct tip_session *s);
/* The reason in the verdict, sent or received. */
uint16_t tip_session_reason(const struct tip_session *s);

/*
 * At DONE: the record backend, which is the caller's to close, as is its socket (backend->fd). The
 * session is then only to be freed.
 */
struct tip_backend *tip_session_take(struct tip_session *s);

#endif
