/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/front_posts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "telemetry/poster.h"
#include "tls/client.h"

#define CA_MAX (2u << 20) /* bytes of PEM: the system's own are a quarter of a megabyte */

struct tip_front_posts {
	struct event_base *base;
	struct tip_store *store;
	struct tip_tls_client *tls; /* NULL: in the clear */
	struct tip_poster *post;    /* NULL: not configured */
	struct tip_buf bundle;      /* that `tls` has */
	struct tip_buf ca;          /* until it has been read */
	bool ca_new;                /* it has not */
	bool shows;                 /* our own SVID */
	bool client_wanted;         /* a certificate from a file is to be shown ... */
	bool client_there;          /* ... `tls` has one ... */
	bool client_new;            /* ... and it was not there at the last request */
	bool by_id;                 /* the server is known by its SPIFFE ID */
	void (*ended)(void *ctx);
	void *ctx;
};

/* These three: 1 when it is not what it was at the last request, 0 when it is, -1 without. */

static int prepare_authorities(struct tip_front_posts *p)
{
	struct tip_error err;

	if (!p->ca_new)
		return 0;
	if (tip_tls_client_authorities(p->tls, p->ca.data, p->ca.len, &err) < 0)
		tip_err("http", "alerts.http.ca_cert: %s", err.text);
	p->ca_new = false;
	tip_buf_free(&p->ca);
	return 1;
}

static int prepare_bundle(struct tip_front_posts *p)
{
	struct tip_error err;
	const uint8_t *bundle;
	size_t len;

	if (!p->by_id)
		return 0;
	bundle = tip_store_bundle(p->store, &len);
	if (!len)
		return -1;
	if (len == p->bundle.len && memcmp(bundle, p->bundle.data, len) == 0)
		return 0;
	tip_buf_reset(&p->bundle);
	if (tip_tls_client_bundle(p->tls, bundle, len, &err) < 0) {
		tip_err("http", "%s", err.text);
		return -1;
	}
	tip_buf_add(&p->bundle, bundle, len);
	return 1;
}

static int prepare_svid(struct tip_front_posts *p)
{
	struct tip_svid svid;
	struct tip_error err;
	int ret;

	if (!p->shows)
		return 0;
	if (tip_store_fetch_own(p->store, &svid) != TIP_FETCH_OK)
		return -1;
	ret = tip_tls_client_show(p->tls, svid.chain, svid.chain_len, svid.key, svid.key_len, &err);
	if (ret < 0)
		tip_err("http", "%s", err.text);
	return ret;
}

static int prepare_client(struct tip_front_posts *p)
{
	const bool fresh = p->client_new;

	p->client_new = false;
	return p->client_wanted && !p->client_there ? -1 : fresh;
}

static int prepare(void *ctx)
{
	struct tip_front_posts *p = ctx;
	int authorities, bundle, svid, client;

	if (!p->tls)
		return 0;
	authorities = prepare_authorities(p);
	bundle = prepare_bundle(p);
	svid = prepare_svid(p);
	client = prepare_client(p);
	return bundle < 0 || svid < 0 || client < 0 ? -1 : authorities | bundle | svid | client;
}

static void on_ended(void *ctx)
{
	struct tip_front_posts *p = ctx;

	p->ended(p->ctx);
}

static void configure(struct tip_front_posts *p, const struct tip_link_msg *m)
{
	if (p->post)
		return;
	if (m->numbers[0])
		p->tls = tip_tls_client_new(m->name, m->text);
	p->by_id = m->text[0] != '\0';
	p->post = tip_poster_new(p->base,
				 &(struct tip_poster_config){.head = m->data,
							     .gzip = m->numbers[1],
							     .keep_alive = m->numbers[2],
							     .timeout_ms = m->numbers[3],
							     .echo = m->numbers[4],
							     .tls = p->tls},
				 &(struct tip_poster_ops){prepare, on_ended, p});
}

static void add_authorities(struct tip_front_posts *p, const struct tip_link_msg *m)
{
	if (m->flag)
		tip_buf_reset(&p->ca);
	if (p->ca.len + m->data_len <= CA_MAX)
		tip_buf_add(&p->ca, m->data, m->data_len);
	p->ca_new = true;
}

static void on_client(struct tip_front_posts *p, const struct tip_link_msg *m)
{
	struct tip_error err;

	p->client_wanted = true;
	if (!p->tls || !m->data_len)
		return;
	if (tip_tls_client_show_pem(p->tls, m->data, m->data_len, m->text, &err) < 0) {
		tip_err("http", "alerts.http.client_cert: %s; %s", err.text,
			p->client_there ? "the one before is shown" : "alerts wait");
		return;
	}
	p->client_there = p->client_new = true;
}

bool tip_front_posts_message(struct tip_front_posts *p, const struct tip_link_msg *m)
{
	switch (m->type) {
	case TIP_LINK_HTTP: configure(p, m); return true;
	case TIP_LINK_HTTP_SVID:
		tip_store_own(p->store, m->name);
		p->shows = true;
		return true;
	case TIP_LINK_HTTP_CLIENT: on_client(p, m); return true;
	case TIP_LINK_HTTP_CA: add_authorities(p, m); return true;
	case TIP_LINK_HTTP_SINK:
		if (p->post)
			tip_poster_channel(p->post, m->fd);
		else
			close(m->fd);
		return true;
	default: return false;
	}
}

bool tip_front_posts_busy(const struct tip_front_posts *p)
{
	return p && p->post && tip_poster_open(p->post);
}

struct tip_front_posts *tip_front_posts_new(struct event_base *base, struct tip_store *store,
					    void (*ended)(void *ctx), void *ctx)
{
	struct tip_front_posts *p = tip_alloc(sizeof(*p));

	p->base = base;
	p->store = store;
	p->ended = ended;
	p->ctx = ctx;
	return p;
}

void tip_front_posts_free(struct tip_front_posts *p)
{
	if (!p)
		return;
	tip_poster_free(p->post);
	tip_tls_client_free(p->tls);
	tip_buf_free(&p->ca);
	tip_buf_free(&p->bundle);
	free(p);
}
