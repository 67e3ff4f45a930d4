/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "control/control.h"
#include "control/request.h"

#define ROOM "control"

/*
 * The server end. Every connection is non-blocking with its own two events and its own deadline, so
 * a client that writes slowly, reads slowly or not at all waits alone. A request is read whole,
 * before its method runs; the answer is written as far as the socket takes it at once, since the
 * `detach` method ends the loop behind it.
 */

/* How much one readable event reads: others get their turn in between. */
#define READ_CHUNK (64u << 10)

enum state {
	READING,   /* collecting the request line */
	RUNNING,   /* inside its method */
	ANSWERING, /* writing the answer, then closing */
	STREAMING,
	DEAD, /* closed at the next turn of the loop */
};

struct tip_control_client {
	struct tip_control *control;
	struct tip_control_client *next, **link;
	enum state state;
	int fd;
	struct event *readable, *writable, *timer;
	struct tip_buf in, out;
	size_t sent;    /* bytes of `out` that the socket has taken */
	bool in_method; /* what is sent now is a replay, bounded by its method ... */
	size_t replay;  /* ... and this much of it was waiting when the method returned */
	void (*closed)(void *ctx);
	void *closed_ctx;
	char peer[64];
};

struct tip_control {
	struct event_base *base;
	const struct tip_control_method *methods;
	size_t nmethods;
	struct tip_control_ops ops;
	int fd;
	struct event *acceptable;
	struct event *resume; /* takes up accept() again after the descriptors ran out */
	struct tip_control_client *clients;
	size_t nclients;
	struct sockaddr_un addr;
	dev_t dev; /* of the socket file, so that only our own is removed */
	ino_t ino;
};

static const struct timeval idle = {
	.tv_sec = TIP_CONTROL_IDLE_MS / 1000,
	.tv_usec = TIP_CONTROL_IDLE_MS % 1000 * 1000,
};

static void client_free(struct tip_control_client *client)
{
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	client->control->nclients--;
	if (client->closed)
		client->closed(client->closed_ctx);
	event_free(client->readable);
	event_free(client->writable);
	event_free(client->timer);
	close(client->fd);
	tip_buf_free(&client->in);
	tip_buf_free(&client->out);
	free(client);
}

/* Ends a connection from wherever: the memory goes at the next turn of the loop. */
static void client_kill(struct tip_control_client *client)
{
	static const struct timeval now;

	client->state = DEAD;
	event_del(client->readable);
	event_del(client->writable);
	event_add(client->timer, &now);
}

/* Writes what the socket takes. True when nothing is left. */
static bool client_flush(struct tip_control_client *client)
{
	struct tip_buf *out = &client->out;

	while (client->sent < out->len) {
		ssize_t n = send(client->fd, out->data + client->sent, out->len - client->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			client->sent += (size_t)n;
			if (client->state == ANSWERING)
				event_add(client->timer, &idle);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN)
			event_add(client->writable, NULL);
		else
			client_kill(client);
		break;
	}
	/* Moving the rest only when at least half is gone keeps a long answer linear. */
	if (client->sent > out->len / 2) {
		tip_buf_consume(out, client->sent);
		client->sent = 0;
	}
	return client->state != DEAD && out->len == 0;
}

static void client_answer(struct tip_control_client *client)
{
	client->state = ANSWERING;
	/* A half-closed client still gets its answer; what else it sends is not looked at. */
	event_del(client->readable);
	event_add(client->timer, &idle);
	if (client_flush(client))
		client_kill(client);
}

static void client_error(struct tip_control_client *client, const struct tip_error *err,
			 const char *hint)
{
	tip_control_write_error(&client->out, err, hint);
	client_answer(client);
}

static const struct tip_control_method *find_method(const struct tip_control *c, const char *name)
{
	for (size_t i = 0; i < c->nmethods; i++)
		if (!strcmp(c->methods[i].name, name))
			return &c->methods[i];
	return NULL;
}

static void client_run(struct tip_control_client *client, const struct tip_control_request *req)
{
	struct tip_control *c = client->control;
	const struct tip_control_method *method = find_method(c, req->method);
	struct tip_error err = {0};
	const char *hint = NULL;
	json_t *result;

	if (strcmp(req->version, TIP_VERSION) && strcmp(req->method, TIP_CONTROL_HANDOVER)) {
		tip_error_set(&err, "the daemon is version %s, the client is version %.32s",
			      TIP_VERSION, req->version);
		client_error(client, &err,
			     "restart tipstaffd after an upgrade, or use the tipstaff"
			     " that was installed with it");
		return;
	}
	if (!method) {
		tip_error_set(&err, "unknown method \"%.64s\"", req->method);
		client_error(client, &err, NULL);
		return;
	}
	client->state = RUNNING;
	client->in_method = true;
	result = method->run(c->ops.ctx, client, req->params, &err, &hint);
	client->in_method = false;
	client->replay = client->out.len - client->sent;
	if (client->state == STREAMING || client->state == DEAD) {
		json_decref(result);
		return;
	}
	if (result) {
		tip_control_write_result(&client->out, result);
		json_decref(result);
		client_answer(client);
		return;
	}
	if (!*err.text)
		tip_error_set(&err, "the method \"%s\" gave no answer", method->name);
	client_error(client, &err, hint);
}

static void client_request(struct tip_control_client *client, size_t len)
{
	struct tip_control_request req;
	struct tip_error err = {0};

	event_del(client->timer);
	if (tip_control_request_parse(client->in.data, len, &req, &err)) {
		client_error(client, &err, NULL);
		return;
	}
	tip_buf_free(&client->in);
	client_run(client, &req);
	tip_control_request_free(&req);
}

/* A stream's client has nothing more to say: only its end matters. */
static void stream_readable(struct tip_control_client *client)
{
	char drop[4096];
	ssize_t n = recv(client->fd, drop, sizeof(drop), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		client_kill(client);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct tip_control_client *client = arg;
	struct tip_error err = {0};
	const char *newline;
	size_t old = client->in.len;
	ssize_t n;

	if (client->state == STREAMING) {
		stream_readable(client);
		return;
	}
	tip_buf_reserve(&client->in, READ_CHUNK);
	n = recv(fd, client->in.data + old, READ_CHUNK, MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			client_kill(client);
		return;
	}
	if (n == 0) {
		/* A request that was cut off is not carried out, even if what came is valid by
		 * chance. */
		if (old == 0) {
			client_kill(client);
			return;
		}
		tip_error_set(&err, "the request does not end with a newline");
		client_error(client, &err, NULL);
		return;
	}
	client->in.len = old + (size_t)n;
	client->in.data[client->in.len] = '\0';
	newline = memchr(client->in.data + old, '\n', (size_t)n);
	if (newline && (size_t)(newline - client->in.data) <= TIP_CONTROL_MAX_REQUEST) {
		client_request(client, (size_t)(newline - client->in.data));
	} else if (client->in.len > TIP_CONTROL_MAX_REQUEST) {
		tip_error_set(&err, "the request is larger than %u bytes", TIP_CONTROL_MAX_REQUEST);
		client_error(client, &err, NULL);
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct tip_control_client *client = arg;

	if (client_flush(client) && client->state == ANSWERING)
		client_kill(client);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct tip_control_client *client = arg;
	struct tip_error err = {0};

	if (client->state == READING) {
		tip_error_set(&err, "no whole request within %d seconds",
			      TIP_CONTROL_IDLE_MS / 1000);
		client_error(client, &err, NULL);
		return;
	}
	client_free(client);
}

/* One line to somebody who is not let in. It fits every socket buffer, or is lost. */
static void turn_away(int fd, const char *text, const char *hint)
{
	struct tip_error err = {0};
	struct tip_buf out = {0};

	tip_error_set(&err, "%s", text);
	tip_control_write_error(&out, &err, hint);
	(void)!send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	tip_buf_free(&out);
	close(fd);
}

static bool peer_may(struct tip_control *c, int fd, struct ucred *cred)
{
	socklen_t len = sizeof(*cred);
	char why[256] = "";

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &len)) {
		tip_warn(ROOM, "SO_PEERCRED: %s", strerror(errno));
		close(fd);
		return false;
	}
	if (cred->uid != 0) {
		tip_warn(ROOM, "refused uid=%u pid=%d: not root", cred->uid, cred->pid);
		turn_away(fd, "only root may control the daemon", "run it with sudo");
		return false;
	}
	if (c->ops.peer_ok && !c->ops.peer_ok(c->ops.ctx, fd, why, sizeof(why))) {
		tip_warn(ROOM, "refused uid=%u pid=%d: %s", cred->uid, cred->pid, why);
		turn_away(fd, *why ? why : "this process may not control the daemon", NULL);
		return false;
	}
	return true;
}

static void client_new(struct tip_control *c, int fd, const struct ucred *cred)
{
	struct tip_control_client *client = tip_alloc(sizeof(*client));

	client->control = c;
	client->fd = fd;
	client->state = READING;
	snprintf(client->peer, sizeof(client->peer), "uid=%u pid=%d", cred->uid, cred->pid);
	client->readable = event_new(c->base, fd, EV_READ | EV_PERSIST, on_readable, client);
	client->writable = event_new(c->base, fd, EV_WRITE, on_writable, client);
	client->timer = evtimer_new(c->base, on_timer, client);
	client->next = c->clients;
	client->link = &c->clients;
	if (client->next)
		client->next->link = &client->next;
	c->clients = client;
	c->nclients++;
	event_add(client->readable, NULL);
	event_add(client->timer, &idle);
}

static void on_acceptable(evutil_socket_t listener, short what, void *arg)
{
	static const struct timeval second = {.tv_sec = 1};
	struct tip_control *c = arg;
	struct ucred cred;
	int fd;

	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* The listener stays readable: without a pause this would spin. */
			tip_warn(ROOM, "accept: %s; pausing for a second", strerror(errno));
			event_del(c->acceptable);
			event_add(c->resume, &second);
		}
		return;
	}
	if (!peer_may(c, fd, &cred))
		return;
	if (c->nclients >= TIP_CONTROL_MAX_CLIENTS) {
		turn_away(fd, "too many control connections",
			  "end some `tipstaff alerts --follow`, or try again");
		return;
	}
	client_new(c, fd, &cred);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct tip_control *c = arg;

	event_add(c->acceptable, NULL);
}

/* Makes room for our socket: a stale file goes, a live one or anything else stays. */
static int clear_path(const char *path, struct tip_error *err)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : tip_error_at(err, path, 0, 0, "%s", strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return tip_error_at(err, path, 0, 0,
				    "exists and is not a socket; remove it or choose another"
				    " run_dir");
	if (tip_control_probe(path) != 0)
		return tip_error_at(err, path, 0, 0,
				    "another tipstaffd listens there; stop it, or give this one its"
				    " own instance and run_dir");
	if (unlink(path) && errno != ENOENT)
		return tip_error_at(err, path, 0, 0, "cannot remove the stale socket: %s",
				    strerror(errno));
	return 0;
}

/* Which file is ours. */
static int identify(struct tip_control *c, const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0) {
		c->dev = st.st_dev;
		c->ino = st.st_ino;
	}
	return 0;
}

static int listen_on(struct tip_control *c, const char *path, int listener, struct tip_error *err)
{
	if (strlen(path) >= sizeof(c->addr.sun_path))
		return tip_error_at(err, path, 0, 0, "longer than a socket path can be (%zu bytes)",
				    sizeof(c->addr.sun_path) - 1);
	if (listener < 0 && clear_path(path, err))
		return -1;
	c->addr.sun_family = AF_UNIX;
	strcpy(c->addr.sun_path, path);
	if (listener >= 0) {
		c->fd = listener;
		return identify(c, path);
	}
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return tip_error_set(err, "socket: %s", strerror(errno));
	/* Linux gives the file the mode of the socket: so it is 0600 from its first moment, without
	 * umask(). */
	if (fchmod(c->fd, 0600) || bind(c->fd, (struct sockaddr *)&c->addr, sizeof(c->addr)))
		return tip_error_at(err, path, 0, 0, "bind: %s", strerror(errno));
	identify(c, path);
	if (listen(c->fd, TIP_CONTROL_MAX_CLIENTS))
		return tip_error_at(err, path, 0, 0, "listen: %s", strerror(errno));
	return 0;
}

struct tip_control *tip_control_new(struct event_base *base, const char *path, int listener,
				    const struct tip_control_method *methods, size_t count,
				    const struct tip_control_ops *ops, struct tip_error *err)
{
	struct tip_control *c = tip_alloc(sizeof(*c));

	c->base = base;
	c->methods = methods;
	c->nmethods = count;
	c->ops = *ops;
	c->fd = -1;
	if (listen_on(c, path, listener, err)) {
		tip_control_free(c, false);
		return NULL;
	}
	c->acceptable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_acceptable, c);
	c->resume = evtimer_new(base, on_resume, c);
	event_add(c->acceptable, NULL);
	return c;
}

int tip_control_listener(const struct tip_control *c)
{
	return c->fd;
}

void tip_control_free(struct tip_control *c, bool leave)
{
	struct stat st;

	if (!c)
		return;
	for (struct tip_control_client *client = c->clients, *next; client; client = next) {
		next = client->next;
		client_free(client);
	}
	if (c->acceptable)
		event_free(c->acceptable);
	if (c->resume)
		event_free(c->resume);
	if (!leave && c->ino && lstat(c->addr.sun_path, &st) == 0 && st.st_dev == c->dev &&
	    st.st_ino == c->ino)
		unlink(c->addr.sun_path);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

void tip_control_stream(struct tip_control_client *client, void (*closed)(void *ctx), void *ctx)
{
	client->state = STREAMING;
	client->closed = closed;
	client->closed_ctx = ctx;
	tip_control_write_stream(&client->out);
	client_flush(client);
}

void tip_control_send(struct tip_control_client *client, const char *json, size_t len)
{
	if (client->state != STREAMING)
		return;
	tip_control_write_event(&client->out, json, len);
	client_flush(client);
	if (client->state == DEAD || client->in_method)
		return;
	if (client->out.len - client->sent > TIP_CONTROL_MAX_BEHIND + client->replay) {
		tip_warn(ROOM, "closed the stream of %s: more than %u bytes behind", client->peer,
			 TIP_CONTROL_MAX_BEHIND);
		client_kill(client);
	}
}

const char *tip_control_peer(const struct tip_control_client *client)
{
	return client->peer;
}
