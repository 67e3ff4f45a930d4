/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_MTLS_POST_H
#define TIP_MTLS_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a peer may say after the handshake besides data: alerts, tickets, KeyUpdate. The kernel
 * gives it out decrypted, in whatever pieces the caller had room for. Allocates nothing, takes any
 * bytes.
 */
struct tip_post {
	uint8_t alert_len, alert;
	uint8_t head_len, head[4]; /* of the message that is coming in: type, length */
	uint32_t rest;             /* bytes of it that are still to come */
};

enum tip_post_said {
	TIP_POST_NOTHING,      /* that anybody has to act on, so far */
	TIP_POST_CLOSE,        /* close_notify */
	TIP_POST_ALERT,        /* another one, which ends the connection: p->alert */
	TIP_POST_UPDATE,       /* the peer's next record has its next key */
	TIP_POST_UPDATE_ASKED, /* the same, and it asks for ours */
	TIP_POST_BAD,          /* what has no place here */
};

/* Of records of type alert (21) and handshake (22); `server`: the peer is one. */
enum tip_post_said tip_post_alert(struct tip_post *p, const uint8_t *data, size_t len);
enum tip_post_said tip_post_handshake(struct tip_post *p, bool server, const uint8_t *data,
				      size_t len);

#endif
