/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
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
#include "base/sock.h"

#define FIRST_FD   3 /* SD_LISTEN_FDS_START */
#define NAME_MAX_  64
#define FDS_MAX    16384 /* of one process: two for each namespace, and a few */
#define MESSAGE    256
#define PATIENCE_S 5
#define LAST       "STOPPING=1\n"

struct stored {
	char name[NAME_MAX_];
	int inherited; /* nobody has taken it yet, or -1 */
	int fd;        /* that is kept now, the owner's; -1: none */
	bool there;    /* the manager has what `fd` or `inherited` is */
};

struct tip_fdstore {
	int manager; /* connected to $NOTIFY_SOCKET, or -1 */
	bool watchdog;
	bool given; /* to another daemon: they are no longer ours to forget */
	struct stored *list;
	size_t count;
};

/* ---- names ---- */

static bool name_ok(const char *name)
{
	const size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return len > 0 && len < NAME_MAX_ && name[len] == '\0';
}

static struct stored *find(const struct tip_fdstore *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->list[i].name, name) == 0)
			return &s->list[i];
	return NULL;
}

static struct stored *add(struct tip_fdstore *s, const char *name)
{
	struct stored *e;

	s->list = tip_realloc(s->list, s->count + 1, sizeof(*s->list));
	e = &s->list[s->count++];
	*e = (struct stored){.inherited = -1, .fd = -1};
	snprintf(e->name, sizeof(e->name), "%s", name);
	return e;
}

static void drop(struct tip_fdstore *s, struct stored *e)
{
	if (e->inherited >= 0)
		close(e->inherited);
	*e = s->list[--s->count];
}

/* ---- messages ---- */

static int send_message(int to, const char *text, int fd)
{
	const struct iovec iov = {(void *)text, strlen(text)};

	return -tip_send_fd(to, &iov, 1, fd, 0);
}

static void store_text(char text[MESSAGE], const char *name)
{
	/* FDPOLL=0: a queue that has dropped packets is in error, and no reason to let go of it. */
	snprintf(text, MESSAGE, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0\n", name);
}

int tip_fdstore_parse(const char *text, char *name, size_t size)
{
	const char *at;
	size_t len;

	if (strcmp(text, LAST) == 0)
		return -1;
	if (strncmp(text, "FDSTORE=1\nFDNAME=", 17) != 0)
		return 0;
	at = text + 17;
	len = strcspn(at, "\n");
	if (len == 0 || len >= size)
		return 0;
	memcpy(name, at, len);
	name[len] = '\0';
	return name_ok(name);
}

/* ---- the manager ---- */

void tip_fdstore_notify(struct tip_fdstore *s, const char *state)
{
	const int ret = s->manager >= 0 ? send_message(s->manager, state, -1) : 0;

	if (ret < 0)
		tip_warn("keeper", "the service manager cannot be told \"%s\": %s", state,
			 strerror(-ret));
}

void tip_fdstore_alive(struct tip_fdstore *s)
{
	if (s->watchdog)
		tip_fdstore_notify(s, "WATCHDOG=1");
}

static int dial_manager(const char *path)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -1;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	/* Once, here: an abstract name belongs to the network namespace that we start in. */
	if (connect(fd, (const struct sockaddr *)&sa,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0)
		return fd;
	tip_warn("keeper", "cannot reach the service manager at %s: %s", path, strerror(errno));
	close(fd);
	return -1;
}

static long number_of(const char *text)
{
	char *end = NULL;
	long n;

	errno = 0;
	n = text ? strtol(text, &end, 10) : -1;
	return text && *text && !*end && !errno ? n : -1;
}

/* One that came in. `there`: the manager has it. */
static void inherit(struct tip_fdstore *s, const char *name, int fd, bool there)
{
	struct stored *e = name_ok(name) ? find(s, name) : NULL;

	if (e || !name_ok(name)) {
		tip_warn("keeper", "closed a descriptor that was passed as \"%.64s\": %s", name,
			 e ? "there are two of that name" : "that is no name of ours");
		close(fd);
		/* The manager cannot be told to drop one of two: it gets the first anew. */
		if (e)
			e->there = false;
		return;
	}
	e = add(s, name);
	e->inherited = fd;
	e->there = there;
}

static void inherit_all(struct tip_fdstore *s, const char *names, long count)
{
	for (int i = 0; i < count; i++) {
		const size_t len = strcspn(names, ":");
		const int fd = FIRST_FD + i;
		char name[NAME_MAX_];

		snprintf(name, sizeof(name), "%.*s", (int)len, names);
		names += len + (names[len] == ':');
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
			inherit(s, name, fd, true);
	}
}

struct tip_fdstore *tip_fdstore_new(void)
{
	const char *names = getenv("LISTEN_FDNAMES");
	struct tip_fdstore *s = tip_alloc(sizeof(*s));
	long count = number_of(getenv("LISTEN_FDS"));

	s->manager = -1;
	if (count > 0 && count <= FDS_MAX && number_of(getenv("LISTEN_PID")) == getpid())
		inherit_all(s, names ? names : "", count);
	/* After that: until then, these numbers are theirs. */
	s->manager = dial_manager(getenv("NOTIFY_SOCKET"));
	s->watchdog = s->manager >= 0 && number_of(getenv("WATCHDOG_USEC")) > 0 &&
		      (!getenv("WATCHDOG_PID") || number_of(getenv("WATCHDOG_PID")) == getpid());
	/* They are about this process, not about the ones that it starts. */
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return s;
}

void tip_fdstore_free(struct tip_fdstore *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		if (s->list[i].inherited >= 0)
			close(s->list[i].inherited);
	if (s->manager >= 0)
		close(s->manager);
	free(s->list);
	free(s);
}

/* ---- taking and keeping ---- */

static int take(struct stored *e)
{
	const int fd = e->inherited;

	e->fd = fd;
	e->inherited = -1;
	return fd;
}

int tip_fdstore_take(struct tip_fdstore *s, const char *name)
{
	struct stored *e = find(s, name);

	return e ? take(e) : -1;
}

int tip_fdstore_take_next(struct tip_fdstore *s, const char *prefix, char *name, size_t size)
{
	for (size_t i = 0; i < s->count; i++) {
		struct stored *e = &s->list[i];

		if (e->inherited < 0 || strncmp(e->name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(name, size, "%s", e->name);
		return take(e);
	}
	return -1;
}

static void tell_removed(struct tip_fdstore *s, const char *name)
{
	char text[MESSAGE];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s\n", name);
	tip_fdstore_notify(s, text);
}

void tip_fdstore_keep(struct tip_fdstore *s, const char *name, int fd)
{
	struct stored *e = find(s, name);
	char text[MESSAGE];
	int ret;

	if (!e)
		e = add(s, name);
	if (e->there && e->fd == fd)
		return;
	e->fd = fd;
	e->there = false;
	if (s->manager < 0)
		return;
	tell_removed(s, name);
	store_text(text, name);
	ret = send_message(s->manager, text, fd);
	if (ret < 0)
		tip_warn("keeper", "the service manager does not keep %s: %s", name,
			 strerror(-ret));
	else
		e->there = true;
}

void tip_fdstore_forget(struct tip_fdstore *s, const char *name)
{
	struct stored *e = find(s, name);

	if (!e || s->given)
		return;
	tell_removed(s, name);
	drop(s, e);
}

void tip_fdstore_forget_all(struct tip_fdstore *s)
{
	while (s->count > 0 && !s->given)
		tip_fdstore_forget(s, s->list[s->count - 1].name);
}

void tip_fdstore_settle(struct tip_fdstore *s)
{
	for (size_t i = 0; i < s->count;) {
		if (s->list[i].inherited < 0) {
			i++;
			continue;
		}
		tip_warn("keeper", "closed the descriptor %s of an earlier daemon: no use for it",
			 s->list[i].name);
		tip_fdstore_forget(s, s->list[i].name);
	}
}

bool tip_fdstore_inherited(const struct tip_fdstore *s)
{
	return s->count > 0;
}

bool tip_fdstore_managed(const struct tip_fdstore *s)
{
	return s->manager >= 0;
}

bool tip_fdstore_kept(const struct tip_fdstore *s)
{
	return s->given || s->manager >= 0;
}

/* ---- from daemon to daemon ---- */

static int inbox_address(const char *path, struct sockaddr_un *sa, struct tip_error *err)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(sa->sun_path))
		return tip_error_at(err, path, 0, 0, "longer than a socket path can be");
	strcpy(sa->sun_path, path);
	return 0;
}

int tip_fdstore_give(struct tip_fdstore *s, const char *path, struct tip_error *err)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	const int to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa;
	int ret = -1, n = 0;

	if (to < 0)
		return tip_error_set(err, "socket: %s", strerror(errno));
	if (inbox_address(path, &sa, err) < 0)
		goto out;
	setsockopt(to, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(to, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		tip_error_at(err, path, 0, 0, "%s", strerror(errno));
		goto out;
	}
	for (size_t i = 0; n == 0 && i < s->count; i++) {
		char text[MESSAGE];

		store_text(text, s->list[i].name);
		if (s->list[i].fd >= 0)
			n = send_message(to, text, s->list[i].fd);
	}
	if (n == 0)
		n = send_message(to, LAST, -1);
	if (n < 0) {
		tip_error_at(err, path, 0, 0, "%s", strerror(-n));
		goto out;
	}
	s->given = true;
	ret = 0;
out:
	close(to);
	return ret;
}

int tip_fdstore_inbox(const char *path, struct tip_error *err)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;
	struct sockaddr_un sa;

	if (fd < 0)
		return tip_error_set(err, "socket: %s", strerror(errno));
	if (inbox_address(path, &sa, err) < 0)
		goto fail;
	unlink(path);
	/* The file gets the mode of the socket: root's from its first moment. */
	if (fchmod(fd, 0600) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		tip_error_at(err, path, 0, 0, "%s", strerror(errno));
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return -1;
}

/* The descriptor of a message, -1: none; `*root`: it came from uid 0. More than one are closed. */
static int unpack(struct msghdr *msg, bool *root)
{
	int fd = -1;

	*root = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct ucred cred;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len >= CMSG_LEN(sizeof(cred))) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			*root = cred.uid == 0;
		}
		if (c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
			if (fd >= 0)
				close(fd);
			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
		}
	}
	return fd;
}

int tip_fdstore_receive(struct tip_fdstore *s, int inbox, struct tip_error *err)
{
	for (;;) {
		union {
			struct cmsghdr align;
			char data[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
		} control = {0};
		char text[MESSAGE + 1], name[NAME_MAX_];
		struct iovec iov = {text, MESSAGE};
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.data,
			.msg_controllen = sizeof(control.data),
		};
		const ssize_t n = recvmsg(inbox, &msg, MSG_CMSG_CLOEXEC);
		bool root;
		int fd, what;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tip_error_set(err, "the descriptors of the other daemon: %s",
					     errno == EAGAIN ? "it has sent no more of them"
							     : strerror(errno));
		text[n] = '\0';
		fd = unpack(&msg, &root);
		what = root ? tip_fdstore_parse(text, name, sizeof(name)) : 0;
		if (what > 0 && fd >= 0 && s->count < FDS_MAX)
			inherit(s, name, fd, false);
		else if (fd >= 0)
			close(fd);
		if (what < 0)
			return 0;
	}
}
