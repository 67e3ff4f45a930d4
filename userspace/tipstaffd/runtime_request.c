/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/runtime_request.h"

#include <string.h>

#define HEX "0123456789abcdef"

static bool is_id(const char *name)
{
	return strlen(name) == 64 && strspn(name, HEX) == 64;
}

static void add_get(struct tip_buf *out, const char *before, const char *name, const char *behind)
{
	tip_buf_addf(out,
		     "GET %s%s%s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: tipstaff\r\n"
		     "Accept: application/json\r\nConnection: close\r\n\r\n",
		     before, name, behind);
}

/* ---- HTTP/2 (RFC 9113), what one call takes ------------------------------------------------- */

enum { DATA = 0, HEADERS = 1, SETTINGS = 4, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
#define WINDOW     (1u << 20)  /* more than any answer that is taken */
#define WINDOW_MAX 0x7fffffffu /* as wide as one can be (6.9.1) */
#define WINDOW_NEW 65535u      /* what the connection's is at first (6.9.2) */

static void add_number(struct tip_buf *out, uint32_t n, int bytes)
{
	while (bytes--)
		tip_buf_addc(out, (char)(n >> (8 * bytes)));
}

static void add_frame(struct tip_buf *out, int type, int flags, uint32_t stream,
		      const struct tip_buf *payload)
{
	add_number(out, (uint32_t)payload->len, 3);
	tip_buf_addc(out, (char)type);
	tip_buf_addc(out, (char)flags);
	add_number(out, stream, 4);
	if (payload->len)
		tip_buf_add(out, payload->data, payload->len);
}

/* A literal without indexing (RFC 7541, 6.2.2); both shorter than 127 bytes. */
static void add_header(struct tip_buf *block, const char *name, const char *value)
{
	tip_buf_addc(block, 0);
	tip_buf_addc(block, (char)strlen(name));
	tip_buf_adds(block, name);
	tip_buf_addc(block, (char)strlen(value));
	tip_buf_adds(block, value);
}

/*
 * The whole of a call on stream 1: nothing has to be said later, since the windows are wide enough,
 * and the server's SETTINGS are acknowledged ahead.
 */
static void add_call(struct tip_buf *out, const char *path, const struct tip_buf *message,
		     uint32_t window)
{
	struct tip_buf b = {0};

	tip_buf_adds(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	add_number(&b, 4 /* SETTINGS_INITIAL_WINDOW_SIZE */, 2);
	add_number(&b, window, 4);
	add_frame(out, SETTINGS, 0, 0, &b);
	tip_buf_reset(&b);
	add_frame(out, SETTINGS, ACK, 0, &b);
	add_number(&b, window - WINDOW_NEW, 4);
	add_frame(out, WINDOW_UPDATE, 0, 0, &b);
	tip_buf_reset(&b);
	add_header(&b, ":method", "POST");
	add_header(&b, ":scheme", "http");
	add_header(&b, ":path", path);
	add_header(&b, ":authority", "localhost");
	add_header(&b, "content-type", "application/grpc");
	add_header(&b, "te", "trailers");
	add_frame(out, HEADERS, END_HEADERS, 1, &b);
	tip_buf_reset(&b);
	tip_buf_addc(&b, 0); /* not compressed */
	add_number(&b, (uint32_t)message->len, 4);
	if (message->len)
		tip_buf_add(&b, message->data, message->len);
	add_frame(out, DATA, END_STREAM, 1, &b);
	tip_buf_free(&b);
}

/* A protobuf field 1 with that text. */
static void add_text(struct tip_buf *message, const char *text, size_t len)
{
	tip_buf_addc(message, 1 << 3 | 2);
	tip_buf_addc(message, (char)len);
	tip_buf_add(message, text, len);
}

/* ---- the questions -------------------------------------------------------------------------- */

/*
 * {"type":["container"],"event":["create","init","start"]}. podman's "init" comes before the first
 * process, docker has none; "start" is for those that were made before somebody listened.
 */
static const char events[] = "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B"
			     "%22create%22%2C%22init%22%2C%22start%22%5D%7D";

bool tip_runtime_endless(uint32_t question)
{
	return question == TIP_ASK_EVENTS || question == TIP_ASK_CRI_EVENTS;
}

static bool cri(uint32_t question, const char *name, struct tip_buf *out)
{
	static const char verbose[] = {2 << 3, 1};
	bool of_one = question != TIP_ASK_CRI_VERSION && question != TIP_ASK_CRI_EVENTS;
	struct tip_buf message = {0}, filter = {0};
	const char *path;

	if (of_one && !is_id(name))
		return false;
	switch (question) {
	case TIP_ASK_CRI_LIST:
		path = "/runtime.v1.RuntimeService/ListContainers";
		add_text(&filter, name, strlen(name));
		add_text(&message, filter.data, filter.len);
		break;
	case TIP_ASK_CRI_STATUS:
	case TIP_ASK_CRI_SANDBOX:
		path = question == TIP_ASK_CRI_STATUS
			       ? "/runtime.v1.RuntimeService/ContainerStatus"
			       : "/runtime.v1.RuntimeService/PodSandboxStatus";
		add_text(&message, name, strlen(name));
		tip_buf_add(&message, verbose, sizeof(verbose));
		break;
	case TIP_ASK_CRI_VERSION: path = "/runtime.v1.RuntimeService/Version"; break;
	case TIP_ASK_CRI_EVENTS: path = "/runtime.v1.RuntimeService/GetContainerEvents"; break;
	default: return false;
	}
	add_call(out, path, &message, tip_runtime_endless(question) ? WINDOW_MAX : WINDOW);
	tip_buf_free(&filter);
	tip_buf_free(&message);
	return true;
}

bool tip_runtime_request(enum tip_runtime kind, uint32_t question, const char *name,
			 struct tip_buf *out)
{
	if (kind == TIP_RUNTIME_CRI)
		return cri(question, name, out);
	if (question == TIP_ASK_CONTAINER && is_id(name)) {
		add_get(out, "/containers/", name, "/json");
		return true;
	}
	if (question == TIP_ASK_IMAGE && strncmp(name, "sha256:", 7) == 0 && is_id(name + 7)) {
		add_get(out, "/images/", name, "/json");
		return true;
	}
	if (question == TIP_ASK_EVENTS) {
		add_get(out, "/events?filters=", events, "");
		return true;
	}
	return false;
}
