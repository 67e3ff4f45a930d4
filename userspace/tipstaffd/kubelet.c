/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

/*
 * The keeper's half of asking the kubelet: it connects, to the configured address and nowhere else,
 * and reads what belongs to root. TLS, HTTP and what is asked are the front's
 * (container/kubelet.c).
 */

#define CA_MAX          (1u << 20)
#define AGAIN_NS        (TIP_NSEC_PER_SEC / 2) /* a front that wants more is no good */
#define TOKEN_MAX       16384
#define SERVER_NAME_MAX 256

/* RFC 6750: what a bearer token is made of. */
#define TOKEN_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/="

/* Says it when it is another complaint than before. */
static void complain(struct tip_keeper *k, const struct tip_error *why)
{
	char text[sizeof(k->kubelet.said)];

	tip_error_str(why, text, sizeof(text));
	if (strcmp(text, k->kubelet.said) != 0)
		tip_warn("container", "the kubelet is not asked: %s", text);
	memcpy(k->kubelet.said, text, sizeof(text));
}

/* A socket that is connecting, or -1 with `err`. */
static int connect_to(const struct tip_url *at, struct tip_error *err)
{
	union tip_address to;
	int fd = -1;

	if (tip_address_parse(at->host, at->port, &to))
		fd = tip_address_connect(&to);
	if (fd < 0)
		tip_error_set(err, "%s: %s", at->authority, strerror(errno));
	return fd;
}

/* The file may be another by now: tokens last an hour. Text without what stands around it. */
static int read_token(const char *path, struct tip_buf *out, struct tip_error *err)
{
	/* At once, so that growing leaves no copy behind. */
	tip_buf_reserve(out, TOKEN_MAX + 1);
	if (!*path)
		return 0;
	if (tip_file_read(path, TOKEN_MAX, out, err) < 0)
		return -1;
	while (out->len && isspace((unsigned char)out->data[out->len - 1]))
		out->data[--out->len] = '\0';
	if (!out->len || strspn(out->data, TOKEN_BYTES) != out->len)
		return tip_error_set(err, "containers.kubelet.token_file: %s holds no token", path);
	return 0;
}

/* Who vouches for it may have changed too. */
static int send_authorities(struct tip_keeper *k, struct tip_error *err)
{
	struct tip_buf pem = {0};
	int ret = 0;

	if (!k->config->kubelet_at.tls)
		return 0;
	if (tip_file_read(k->config->kubelet_ca, CA_MAX, &pem, err) < 0)
		ret = -1;
	else if (!pem.len || !strstr(pem.data, "-----BEGIN CERTIFICATE-----"))
		ret = tip_error_set(err,
				    "containers.kubelet.ca_cert: %s holds no certificate in PEM",
				    k->config->kubelet_ca);
	if (ret == 0 &&
	    (pem.len != k->kubelet.ca.len || memcmp(pem.data, k->kubelet.ca.data, pem.len) != 0)) {
		tip_front_send_authorities(k, TIP_LINK_KUBELET_CA, &pem);
		tip_buf_reset(&k->kubelet.ca);
		tip_buf_add(&k->kubelet.ca, pem.data, pem.len);
	}
	tip_buf_free(&pem);
	return ret;
}

void tip_kubelet_dial(struct tip_keeper *k, uint64_t dial)
{
	const struct tip_config *c = k->config;
	struct tip_buf token = {0};
	const uint64_t now = tip_clock_monotonic();
	struct tip_error err = {0};
	int fd = -1;

	if (!*c->kubelet_url)
		tip_error_set(&err, "it is not configured");
	else if (k->kubelet.dialled_ns && now - k->kubelet.dialled_ns < AGAIN_NS)
		tip_error_set(&err, "the front asks too often");
	else if (send_authorities(k, &err) == 0 && read_token(c->kubelet_token, &token, &err) == 0)
		fd = connect_to(&c->kubelet_at, &err);
	k->kubelet.dialled_ns = now;
	if (fd < 0) {
		complain(k, &err);
		tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_UNDIALLED, .id = dial});
	} else {
		k->kubelet.said[0] = '\0';
		tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_KUBELET_DIALLED,
							 .id = dial,
							 .data = token.data,
							 .data_len = token.len,
							 .fd = fd});
		close(fd);
	}
	if (token.data)
		explicit_bzero(token.data, token.cap);
	tip_buf_free(&token);
}

static bool is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* A kubelet's certificate is for its node, whatever address it is reached by. */
static void server_name(const struct tip_keeper *k, char out[SERVER_NAME_MAX])
{
	const struct tip_config *c = k->config;
	const char *name = *c->kubelet_name ? c->kubelet_name : c->kubelet_at.host;
	size_t i;

	if (!*c->kubelet_name && is_loopback(name))
		name = k->hostname;
	for (i = 0; name[i] && i < SERVER_NAME_MAX - 1; i++)
		out[i] = (char)tolower((unsigned char)name[i]);
	out[i] = '\0';
}

void tip_kubelet_feed(struct tip_keeper *k)
{
	const struct tip_url *at = &k->config->kubelet_at;
	char name[SERVER_NAME_MAX] = "";

	if (!*k->config->kubelet_url)
		return;
	if (at->tls)
		server_name(k, name);
	tip_front_send(k, &(struct tip_link_msg){
				  .type = TIP_LINK_KUBELET, .name = at->authority, .text = name});
	tip_buf_reset(&k->kubelet.ca); /* this front has none */
	k->kubelet.dialled_ns = 0;
}

void tip_kubelet_close(struct tip_keeper *k)
{
	tip_buf_free(&k->kubelet.ca);
}
