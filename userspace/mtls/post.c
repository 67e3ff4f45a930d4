/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/post.h"

#include <openssl/ssl.h>

#define TICKET     4
#define KEY_UPDATE 24

enum tip_post_said tip_post_alert(struct tip_post *p, const uint8_t *data, size_t len)
{
	/* The level comes first, and means nothing in TLS 1.3. */
	for (; len && p->alert_len < 2; len--) {
		p->alert = *data++;
		p->alert_len++;
	}
	if (p->alert_len < 2)
		return TIP_POST_NOTHING;
	p->alert_len = 0;
	/* close_notify follows. */
	if (p->alert == SSL_AD_USER_CANCELLED)
		return TIP_POST_NOTHING;
	return p->alert == SSL_AD_CLOSE_NOTIFY ? TIP_POST_CLOSE : TIP_POST_ALERT;
}

static bool may_come(const struct tip_post *p, bool server)
{
	/* Tickets are none of our affair, there is no resumption; but they are servers'. */
	return p->head[0] == KEY_UPDATE ? p->rest == 1 : p->head[0] == TICKET && server;
}

/* Messages may lie across records, and side by side in one. */
enum tip_post_said tip_post_handshake(struct tip_post *p, bool server, const uint8_t *data,
				      size_t len)
{
	while (len) {
		size_t skip;

		if (p->head_len < sizeof(p->head)) {
			p->head[p->head_len++] = *data++;
			len--;
			if (p->head_len < sizeof(p->head))
				continue;
			p->rest =
				(uint32_t)p->head[1] << 16 | (uint32_t)p->head[2] << 8 | p->head[3];
			if (!may_come(p, server))
				return TIP_POST_BAD;
		} else if (p->head[0] == KEY_UPDATE) {
			p->head_len = 0;
			/* A key changes at the end of a record and nowhere else. */
			if (len > 1 || *data > 1)
				return TIP_POST_BAD;
			return *data ? TIP_POST_UPDATE_ASKED : TIP_POST_UPDATE;
		} else {
			skip = len < p->rest ? len : p->rest;
			data += skip;
			len -= skip;
			p->rest -= (uint32_t)skip;
		}
		if (!p->rest)
			p->head_len = 0;
	}
	return TIP_POST_NOTHING;
}
