/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_CAUSE_H
#define TIP_MTLS_CAUSE_H

/*
 * Why a handshake failed, or an open connection ended. Every failure in this room has one of these:
 * alerts and counters are keyed by them.
 */
enum tip_mtls_cause {
	TIP_MTLS_NONE,

	/* The transport, and what is not TLS 1.3. */
	TIP_MTLS_TIMEOUT,
	TIP_MTLS_CLOSED,
	TIP_MTLS_RESET,
	TIP_MTLS_PLAINTEXT,
	TIP_MTLS_TLS_VERSION,
	TIP_MTLS_NO_COMMON,
	TIP_MTLS_PROTOCOL,
	TIP_MTLS_PEER_ALERT,
	TIP_MTLS_ALPN_REFUSED, /* the peer has an ALPN list, and ours is not on it */
	TIP_MTLS_NO_REQUEST,   /* the server did not ask who we are: that is not mutual TLS */

	/* The peer's certificate. */
	TIP_MTLS_NO_CERTIFICATE,
	TIP_MTLS_CHAIN_LENGTH,
	TIP_MTLS_NO_URI,
	TIP_MTLS_SEVERAL_URIS,
	TIP_MTLS_BAD_ID,
	TIP_MTLS_LEAF_IS_CA,
	TIP_MTLS_LEAF_USAGE,
	TIP_MTLS_TRUST_DOMAIN,
	TIP_MTLS_EXPIRED,
	TIP_MTLS_NOT_YET_VALID,
	TIP_MTLS_UNTRUSTED,
	TIP_MTLS_NOT_PINNED,

	/* The server's verdict: on its own side as on the client's. */
	TIP_MTLS_DENIED,
	TIP_MTLS_QUARANTINED,
	TIP_MTLS_REFUSED,
	TIP_MTLS_UNREACHABLE,
	TIP_MTLS_BAD_VERDICT,

	/* An open connection. */
	TIP_MTLS_CLEAN,
	TIP_MTLS_APP_RESET,
	TIP_MTLS_TRUNCATED,
	TIP_MTLS_BAD_RECORD,
	TIP_MTLS_ABORTED,
	TIP_MTLS_KEY_UPDATE, /* of the peer, which this kernel cannot follow */
	TIP_MTLS_BUDGET,     /* a key that cannot be changed has made all the records it may */

	/* This side's own limits and troubles. */
	TIP_MTLS_LIMIT_HANDSHAKES,
	TIP_MTLS_LIMIT_CONNECTIONS,
	TIP_MTLS_LIMIT_IDENTITY,
	TIP_MTLS_INTERNAL,
	TIP_MTLS_NO_IDENTITY, /* there is no SVID to show */
	TIP_MTLS_SOCKMAP,     /* our socket is in a sockmap, which would let plaintext out */

	TIP_MTLS_CAUSES
};

/* A stable word for counters and alerts: "expired", "several-uris". */
const char *tip_mtls_cause_name(enum tip_mtls_cause cause);
/* A sentence for people, without a full stop. */
const char *tip_mtls_cause_text(enum tip_mtls_cause cause);

#endif
