/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_WIRE_H
#define TIP_MTLS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What of the wire this room reads by hand: the first bytes of a connection, and the verdict record
 * of our ALPN. Neither allocates, and both take any bytes.
 */

/* ---- is this TLS at all? ---- */

enum tip_sniff {
	TIP_SNIFF_MORE, /* so far it could be: wait for more bytes */
	TIP_SNIFF_TLS,
	TIP_SNIFF_OTHER,
};
/* Bytes that suffice for an answer. */
#define TIP_SNIFF_MAX 6

/* The first bytes that a client sent: the start of a ClientHello? */
enum tip_sniff tip_sniff_client(const uint8_t *data, size_t len);
/* The first bytes that a server sent: the start of a ServerHello, or an alert? */
enum tip_sniff tip_sniff_server(const uint8_t *data, size_t len);

/* ---- the verdict ---- */

/* The protocol that has the verdict record, as ALPN names it. */
#define TIP_MTLS_ALPN "tipstaff/1"

/*
 * A TLS 1.3 client is finished before the server has judged its certificate. Under our ALPN the
 * server's first application data is this record, sent once policy was asked and the application
 * was dialled: {version u8, verdict u8, reason u16 big-endian}.
 */
#define TIP_VERDICT_LEN     4
#define TIP_VERDICT_VERSION 1

/* 0 is none of them: a record of zeros opens nothing. */
enum tip_verdict {
	TIP_VERDICT_OK = 1,
	TIP_VERDICT_REFUSED,     /* the application's port is closed */
	TIP_VERDICT_UNREACHABLE, /* the application cannot be reached, or no resources */
	TIP_VERDICT_DENIED,      /* policy */
	TIP_VERDICT_QUARANTINED,
};

/* What stands behind it. Receivers take any number: it is for people. */
enum tip_verdict_reason {
	TIP_REASON_NONE,
	TIP_REASON_NO_RULE,   /* no rule lets this client in */
	TIP_REASON_RULE,      /* a rule keeps it out */
	TIP_REASON_TIMEOUT,   /* the application did not answer the dial */
	TIP_REASON_LIMIT,     /* a limit of the server's worker */
	TIP_REASON_GOING_DOWN /* the server's worker is about to stop */
};

void tip_verdict_encode(enum tip_verdict verdict, uint16_t reason, uint8_t out[TIP_VERDICT_LEN]);
/* 0, or -1 for another length, version, or a verdict that is none of the above. */
int tip_verdict_decode(const uint8_t *data, size_t len, enum tip_verdict *verdict,
		       uint16_t *reason);

#endif
