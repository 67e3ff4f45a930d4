/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/*
 * Frames that cost us more than they cost the peer (PING, SETTINGS, RST_STREAM, PRIORITY,
 * WINDOW_UPDATE, empty DATA): so many at once, and so many a second. grpc-go and C-core send one
 * PING and one WINDOW_UPDATE for a few messages; hundreds a second is not a client of ours.
 */
#define CONTROL_BURST     1000
#define CONTROL_RATE      100
#define INVALID_COST      20 /* tokens for a frame that breaks the protocol */
#define RESET_BURST       200
#define RESET_RATE        20
#define OUTBOUND_ACKS     64
#define SETTINGS_MAX      16
#define CONTINUATIONS_MAX 4

static bool charge(struct tip_rpc_conn *c, uint32_t cost)
{
	uint64_t now = tip_clock_monotonic();
	uint64_t refill = (now - c->tokens_at) / (TIP_NSEC_PER_SEC / CONTROL_RATE);

	if (refill) {
		c->tokens = refill > CONTROL_BURST - c->tokens ? CONTROL_BURST
							       : c->tokens + (uint32_t)refill;
		c->tokens_at = now;
	}
	if (c->tokens < cost) {
		tip_debug("rpc", "closing a connection: too many control frames");
		return false;
	}
	c->tokens -= cost;
	return true;
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
		       void *arg)
{
	struct tip_rpc_server *s = ((struct tip_rpc_conn *)arg)->server;
	size_t room = sizeof(s->out) - s->out_len;

	(void)session;
	(void)flags;
	if (!room)
		return NGHTTP2_ERR_WOULDBLOCK;
	len = len < room ? len : room;
	memcpy(s->out + s->out_len, data, len);
	s->out_len += len;
	return (ssize_t)len;
}

/* DATA goes from our queue to the output past nghttp2's own buffers, which nobody would wipe. */
static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd,
			size_t length, nghttp2_data_source *source, void *arg)
{
	struct tip_rpc_server *s = ((struct tip_rpc_conn *)arg)->server;

	(void)session;
	(void)frame;
	if (sizeof(s->out) - s->out_len < 9 + length)
		return NGHTTP2_ERR_WOULDBLOCK;
	memcpy(s->out + s->out_len, framehd, 9);
	s->out_len += 9;
	tip_rpc_call_take(source->ptr, s->out + s->out_len, length);
	s->out_len += length;
	return 0;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	struct tip_rpc_conn *c = arg;

	(void)session;
	/* Closed by a callback while bytes of the same chunk are left: they are not looked at. */
	if (c->fd < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_CONTINUATION ||
	    (hd->type == NGHTTP2_DATA && hd->length))
		return 0;
	return charge(c, 1) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct tip_rpc_conn *c = arg;
	int32_t id = frame->hd.stream_id;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	/* nghttp2 holds the peer to this limit only once our SETTINGS are acknowledged. */
	if (c->ncalls >= c->server->config.max_streams)
		return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id,
						 NGHTTP2_REFUSED_STREAM);
	nghttp2_session_set_stream_user_data(session, id, tip_rpc_call_new(c, id));
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags,
		     void *arg)
{
	struct tip_rpc_call *call;

	(void)flags;
	(void)arg;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (call)
		tip_rpc_call_header_add(call, name, namelen, value, valuelen);
	return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id,
			 const uint8_t *data, size_t len, void *arg)
{
	struct tip_rpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

	(void)flags;
	(void)arg;
	if (call)
		tip_rpc_call_body(call, data, len);
	return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct tip_rpc_call *call;

	(void)arg;
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!call)
		return 0;
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		call->remote_closed = true;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		tip_rpc_call_headers_done(call);
	if (call->remote_closed)
		tip_rpc_call_end(call);
	return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
			    void *arg)
{
	struct tip_rpc_conn *c = arg;

	(void)session;
	(void)frame;
	(void)code;
	c->server->stats.protocol_errors++;
	return charge(c, INVALID_COST) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct tip_rpc_conn *c = arg;
	struct tip_rpc_call *call;

	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
		c->server->stats.protocol_errors++;
	if (frame->hd.type != NGHTTP2_HEADERS || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	/* Answered before the request was whole: its rest is not wanted (RFC 9113, section 8.1). */
	if (call && !call->remote_closed)
		return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
						 NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *arg)
{
	struct tip_rpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);

	(void)code;
	(void)arg;
	if (call)
		tip_rpc_call_free(call);
	return 0;
}

nghttp2_session_callbacks *tip_rpc_session_callbacks(void)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb))
		return NULL;
	nghttp2_session_callbacks_set_send_callback(cb, on_send);
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	return cb;
}

nghttp2_option *tip_rpc_session_option(void)
{
	nghttp2_option *option;

	if (nghttp2_option_new(&option))
		return NULL;
	/* Our answers have five short headers: no table to compress them is worth its memory. */
	nghttp2_option_set_max_deflate_dynamic_table_size(option, 0);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_max_outbound_ack(option, OUTBOUND_ACKS);
	nghttp2_option_set_max_settings(option, SETTINGS_MAX);
	/* CVE-2023-44487 and CVE-2024-28182; Debian 12 carries both options in 1.52. */
	nghttp2_option_set_stream_reset_rate_limit(option, RESET_BURST, RESET_RATE);
	nghttp2_option_set_max_continuations(option, CONTINUATIONS_MAX);
	return option;
}

int tip_rpc_session_new(struct tip_rpc_conn *c)
{
	struct tip_rpc_server *s = c->server;
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)s->config.max_streams},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, TIP_RPC_HEADER_LIST},
	};

	c->tokens = CONTROL_BURST;
	if (nghttp2_session_server_new2(&c->session, s->callbacks, c, s->option))
		return -1;
	if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
				    TIP_ARRAY_SIZE(settings))) {
		nghttp2_session_del(c->session);
		return -1;
	}
	return 0;
}
