/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

/* The alert stream as the configuration wants it. */

#define CA_MAX    (1u << 20) /* bytes of a file of certificates */
#define CHAIN_MAX 32768 /* bytes of what the daemon shows: its certificate with its chain ... */
#define KEY_MAX   16383 /* ... and its key */

/* An error about a file of alerts.http. Returns -1. */
static int bad(const struct tip_config *c, const char *key, const char *what, struct tip_error *err)
{
	return tip_error_at(err, c->file, c->http_line, c->http_column, "alerts.http.%s: %s", key,
			    what);
}

/*
 * What can be said of PEM without reading it: the front does that. Certificates of `path`, for
 * alerts.http.`key`. 0, or -1 with `err`.
 */
static int read_certs(const struct tip_config *c, const char *key, const char *path, size_t max,
		      struct tip_buf *pem, struct tip_error *err)
{
	struct tip_error why;
	char text[1200];

	if (tip_file_read(path, max, pem, &why) < 0)
		return bad(c, key, tip_error_str(&why, text, sizeof(text)), err);
	if (pem->len && strstr(pem->data, "-----BEGIN CERTIFICATE-----"))
		return 0;
	snprintf(text, sizeof(text), "%s holds no certificate in PEM", path);
	return bad(c, key, text, err);
}

static int read_key(const struct tip_config *c, struct tip_buf *pem, struct tip_error *err)
{
	struct tip_error why;
	char text[1200];

	tip_buf_reserve(pem, 4 * KEY_MAX); /* it does not move, so no part of it stays behind */
	if (tip_file_read_secret(c->http_client_key, KEY_MAX, pem, &why) < 0)
		return bad(c, "client_key", tip_error_str(&why, text, sizeof(text)), err);
	if (strstr(pem->data, "PRIVATE KEY-----") && !strstr(pem->data, "ENCRYPTED") &&
	    strlen(pem->data) == pem->len)
		return 0;
	snprintf(text, sizeof(text), "%s holds no key in PEM without a passphrase",
		 c->http_client_key);
	return bad(c, "client_key", text, err);
}

static void wipe(struct tip_buf *key)
{
	if (key->data)
		explicit_bzero(key->data, key->cap);
	tip_buf_free(key);
}

int tip_stream_check(const struct tip_config *c, struct tip_error *err)
{
	struct tip_buf ca = {0}, chain = {0}, key = {0};
	int ret = 0;

	if (c->http && *c->http_ca_cert)
		ret = read_certs(c, "ca_cert", c->http_ca_cert, CA_MAX, &ca, err);
	if (c->http && *c->http_client_cert && ret == 0)
		ret = read_certs(c, "client_cert", c->http_client_cert, CHAIN_MAX, &chain, err);
	if (c->http && *c->http_client_cert && ret == 0)
		ret = read_key(c, &key, err);
	tip_buf_free(&ca);
	tip_buf_free(&chain);
	wipe(&key);
	return ret;
}

int tip_stream_prepare(struct tip_keeper *k, struct tip_error *err)
{
	const struct tip_config *c = k->config;
	const struct passwd *pw;

	if (tip_stream_check(c, err) < 0)
		return -1;
	if (!c->program)
		return 0;
	if (access(c->program[0], X_OK) < 0)
		return tip_error_at(err, c->file, 0, 0,
				    "alerts.program.command: %s cannot be executed", c->program[0]);
	pw = tip_find_user(c->program_user, true);
	if (!pw)
		return tip_error_at(err, c->file, 0, 0,
				    "alerts.program.user: there is no user \"%s\"",
				    c->program_user);
	/* Who has the front's uid may stop it, and send it signals. */
	if (pw->pw_uid == 0 || pw->pw_gid == 0 || pw->pw_uid == k->front.uid)
		return tip_error_at(err, c->file, 0, 0,
				    "alerts.program.user: \"%s\" is %s; give the program a user "
				    "of its own",
				    c->program_user,
				    pw->pw_uid == k->front.uid ? "the front's user" : "root");
	k->program_uid = pw->pw_uid;
	k->program_gid = pw->pw_gid;
	return 0;
}

/* "tipstaffd --program UID GID COMMAND...": it gives up what it has, then executes the command. */
static const char **program_argv(const struct tip_keeper *k, char *uid, char *gid, size_t size)
{
	const struct tip_config *c = k->config;
	const char **argv = tip_calloc(c->nprogram + 5, sizeof(*argv));

	snprintf(uid, size, "%u", (unsigned int)k->program_uid);
	snprintf(gid, size, "%u", (unsigned int)k->program_gid);
	argv[0] = "/proc/self/exe";
	argv[1] = "--program";
	argv[2] = uid;
	argv[3] = gid;
	memcpy(argv + 4, c->program, c->nprogram * sizeof(*argv));
	return argv;
}

int tip_stream_open(struct tip_keeper *k, struct tip_error *err)
{
	const struct tip_config *c = k->config;
	char uid[16], gid[16];
	const char **argv = c->program ? program_argv(k, uid, gid, sizeof(uid)) : NULL;
	char *spool = tip_sprintf("%s/spool", c->state_dir);
	const struct tip_alerts_config ac = {
		.stdout_enabled = c->alerts_stdout,
		.file = c->alerts_file,
		.syslog = c->syslog ? c->syslog_socket : NULL,
		.facility = c->syslog_facility,
		.program = argv,
		.program_keep_alive = c->program_keep_alive,
		.http_host = c->http ? c->http_at.host : NULL,
		.http_port = c->http_at.port,
		.http_max_timeouts = c->http_max_timeouts,
		.resolver = "/proc/self/exe",
		.json = c->alerts_json,
		.form = {.no_output = !c->include_output,
			 .no_fields = !c->include_fields,
			 .no_tags = !c->include_tags,
			 .message = c->include_message,
			 .iso8601 = c->time_iso8601},
		.fields = c->alert_fields,
		.nfields = c->nalert_fields,
		.queue = c->alert_queue,
		.timeout_ns = c->alert_timeout * 1000000ULL,
		.buffered = c->buffered,
		.hostname = k->hostname,
		.spooled = c->spooled,
		.nspooled = c->nspooled,
		.spool = spool,
		.spool_max = (uint64_t)c->spool_mib << 20,
	};

	k->alerts = tip_alerts_new(&ac, err);
	free(spool);
	free(argv);
	return k->alerts ? 0 : -1;
}

/* ---- the http sink: what the front needs to know ------------------------------------------- */

#define POST_QUEUE (512u << 10) /* bytes of the channel: an alert of the largest size, and more */

static void send_authorities(struct tip_keeper *k)
{
	const struct tip_config *c = k->config;
	struct tip_buf pem = {0};
	struct tip_error err;
	char text[1200];

	if (!*c->http_ca_cert)
		return;
	if (tip_file_read(c->http_ca_cert, CA_MAX, &pem, &err) < 0)
		tip_err("http", "alerts.http.ca_cert: %s; nobody vouches for the server",
			tip_error_str(&err, text, sizeof(text)));
	tip_front_send_authorities(k, TIP_LINK_HTTP_CA, &pem);
	tip_buf_free(&pem);
}

/* Of files that cannot be read empty ones are sent: a front that has some shows what it had. */
static void send_client(struct tip_keeper *k)
{
	const struct tip_config *c = k->config;
	struct tip_link_msg m = {.type = TIP_LINK_HTTP_CLIENT};
	struct tip_buf chain = {0}, key = {0};
	struct tip_error err;
	char text[1200];

	if (!*c->http_client_cert)
		return;
	if (read_certs(c, "client_cert", c->http_client_cert, CHAIN_MAX, &chain, &err) < 0 ||
	    read_key(c, &key, &err) < 0) {
		tip_err("http", "%s", tip_error_str(&err, text, sizeof(text)));
	} else {
		m.text = key.data;
		m.data = chain.data;
		m.data_len = chain.len;
	}
	tip_front_send(k, &m);
	tip_buf_free(&chain);
	wipe(&key);
}

void tip_stream_send_files(struct tip_keeper *k)
{
	if (!k->config->http)
		return;
	send_authorities(k);
	send_client(k);
}

/* A pair of sockets: one end for the sink's thread, the other for the front. */
static void send_channel(struct tip_keeper *k)
{
	int sv[2], size = POST_QUEUE;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) < 0) {
		tip_err("http", "no alerts are posted: socketpair: %s", strerror(errno));
		return;
	}
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_HTTP_SINK, .fd = sv[1]});
	close(sv[1]);
	tip_alerts_set_http(k->alerts, sv[0]);
}

void tip_stream_feed(struct tip_keeper *k)
{
	const struct tip_config *c = k->config;
	const struct tip_url *u = &c->http_at;
	struct tip_buf head = {0};

	if (!c->http)
		return;
	tip_buf_addf(&head,
		     "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n"
		     "Content-Type: application/json\r\n",
		     u->target, u->authority, c->http_user_agent);
	tip_front_send(k, &(struct tip_link_msg){
				  .type = TIP_LINK_HTTP,
				  .numbers = {u->tls, c->http_gzip, c->http_keep_alive,
					      c->http_timeout, c->http_echo},
				  .name = u->host,
				  .text = c->http_server_id,
				  .data = head.data,
				  .data_len = head.len,
			  });
	tip_buf_free(&head);
	if (*c->http_svid)
		tip_front_send(k, &(struct tip_link_msg){.type = TIP_LINK_HTTP_SVID,
							 .name = c->http_svid});
	tip_stream_send_files(k);
	send_channel(k);
}

struct tip_rules_options tip_stream_rules_options(const struct tip_keeper *k)
{
	const struct tip_config *c = k->config;

	return (struct tip_rules_options){
		.min_priority = c->min_priority,
		.append = c->append,
		.nappend = c->nappend,
		.base64 = c->base64,
	};
}
