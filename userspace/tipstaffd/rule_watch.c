/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

/*
 * rules.watch: configured rule files are read again when they change. Folders are watched, never
 * files: an editor and a package put another file in a file's place, and a configuration map of
 * Kubernetes another folder behind a link ("..data").
 */
#define QUIET_MS 300 /* without another change, before they are read */
#define CHANGES                                                                                    \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)

struct tip_rules_watch {
	int fd;
	struct event *readable, *quiet;
};

static void watch_folder(const struct tip_rules_watch *w, const char *path)
{
	if (inotify_add_watch(w->fd, path, CHANGES | IN_ONLYDIR) < 0)
		tip_warn("detect", "%s cannot be watched: %s", path, strerror(errno));
}

/* The folders of all configured files: once more after each change, for they may be others now. */
static void watch_all(struct tip_keeper *k)
{
	for (size_t i = 0; i < k->config->nrules_files; i++) {
		const char *path = k->config->rules_files[i], *slash = strrchr(path, '/');
		struct stat st;
		char *parent;

		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			watch_folder(k->rules.watch, path);
		/* Also of a folder, which may be replaced as a whole. */
		parent = tip_strndup(path, slash == path ? 1 : (size_t)(slash - path));
		watch_folder(k->rules.watch, parent);
		free(parent);
	}
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* May it be about a rule file? Other files of these folders are nobody's business. */
static bool concerns(const struct tip_keeper *k, const struct inotify_event *e)
{
	if (!e->len || strcmp(e->name, "..data") == 0)
		return true;
	if (ends_with(e->name, ".yaml") || ends_with(e->name, ".yml"))
		return true;
	for (size_t i = 0; i < k->config->nrules_files; i++) {
		const char *slash = strrchr(k->config->rules_files[i], '/');

		if (strcmp(slash + 1, e->name) == 0)
			return true;
	}
	return false;
}

static void on_change(evutil_socket_t fd, short what, void *ctx)
{
	const struct timeval quiet = {.tv_usec = QUIET_MS * 1000};
	_Alignas(struct inotify_event) char buf[4096];
	struct tip_keeper *k = ctx;
	bool mine = false;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			mine |= concerns(k, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	if (mine)
		event_add(k->rules.watch->quiet, &quiet);
}

static void on_quiet(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_keeper *k = ctx;
	struct tip_error err;
	char text[1200];

	watch_all(k);
	if (tip_rules_reload(k, "watch", &err) < 0)
		tip_err("detect", "rule files have changed, and the old rules stay: %s",
			tip_error_str(&err, text, sizeof(text)));
}

int tip_rules_watch_begin(struct tip_keeper *k, struct tip_error *err)
{
	struct tip_rules_watch *w;

	if (!k->config->rules_watch)
		return 0;
	w = tip_alloc(sizeof(*w));
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd < 0) {
		free(w);
		return tip_error_set(err, "rules.watch: inotify: %s", strerror(errno));
	}
	w->readable = event_new(k->base, w->fd, EV_READ | EV_PERSIST, on_change, k);
	w->quiet = event_new(k->base, -1, 0, on_quiet, k);
	if (!w->readable || !w->quiet)
		abort();
	k->rules.watch = w;
	event_add(w->readable, NULL);
	watch_all(k);
	return 0;
}

void tip_rules_watch_end(struct tip_keeper *k)
{
	struct tip_rules_watch *w = k->rules.watch;

	if (!w)
		return;
	event_free(w->readable);
	event_free(w->quiet);
	close(w->fd);
	free(w);
	k->rules.watch = NULL;
}
