/* SPDX-License-Identifier: Apache-2.0 */

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static int read_file(const char *path, size_t max, bool secret, struct tip_buf *out,
		     struct tip_error *err)
{
	struct stat st;
	size_t had = out->len;
	int fd, ret = -1;

	/* O_NONBLOCK: a FIFO put in a file's place must not hang us before fstat() unmasks it. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return tip_error_at(err, path, 0, 0, "%s", strerror(errno));
	if (fstat(fd, &st) < 0) {
		tip_error_at(err, path, 0, 0, "%s", strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		tip_error_at(err, path, 0, 0, "is not a regular file");
		goto out;
	}
	if (secret && (st.st_uid != 0 || (st.st_mode & (S_IRWXG | S_IRWXO)))) {
		tip_error_at(err, path, 0, 0,
			     "is a secret, so it has to be root's and closed to all others "
			     "(chown root, chmod 600)");
		goto out;
	}
	for (;;) {
		ssize_t n;

		tip_buf_reserve(out, 16384);
		n = read(fd, out->data + out->len, 16384);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			tip_error_at(err, path, 0, 0, "%s", strerror(errno));
			goto out;
		}
		if (n == 0)
			break;
		out->len += (size_t)n;
		out->data[out->len] = '\0';
		if (out->len - had > max) {
			tip_error_at(err, path, 0, 0, "is larger than %zu bytes", max);
			goto out;
		}
	}
	ret = 0;
out:
	if (ret < 0) {
		out->len = had;
		if (out->data)
			out->data[had] = '\0';
	}
	close(fd);
	return ret;
}

int tip_file_read(const char *path, size_t max, struct tip_buf *out, struct tip_error *err)
{
	return read_file(path, max, false, out, err);
}

int tip_file_read_secret(const char *path, size_t max, struct tip_buf *out, struct tip_error *err)
{
	return read_file(path, max, true, out, err);
}

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* fsync of the folder makes the rename itself durable. */
static int sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? tip_strndup(path, slash == path ? 1 : (size_t)(slash - path))
			  : tip_strdup(".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = -1;

	if (fd >= 0) {
		ret = fsync(fd);
		close(fd);
	}
	free(dir);
	return ret;
}

int tip_file_stage(const char *path, const void *data, size_t len, mode_t mode,
		   struct tip_error *err)
{
	char *tmp = tip_sprintf("%s.tmp", path);
	int fd, ret = -1;

	/* A left-over of a crash may have other rights: never write into it. */
	if (unlink(tmp) < 0 && errno != ENOENT) {
		tip_error_at(err, tmp, 0, 0, "%s", strerror(errno));
		goto out;
	}
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0) {
		tip_error_at(err, tmp, 0, 0, "%s", strerror(errno));
		goto out;
	}
	if (fchmod(fd, mode) < 0 || write_all(fd, data, len) < 0 || fsync(fd) < 0) {
		tip_error_at(err, tmp, 0, 0, "%s", strerror(errno));
		close(fd);
		unlink(tmp);
		goto out;
	}
	close(fd);
	ret = 0;
out:
	free(tmp);
	return ret;
}

int tip_file_commit(const char *path, struct tip_error *err)
{
	char *tmp = tip_sprintf("%s.tmp", path);
	int ret = 0;

	if (rename(tmp, path) < 0 || sync_parent(path) < 0) {
		ret = tip_error_at(err, path, 0, 0, "%s", strerror(errno));
		unlink(tmp);
	}
	free(tmp);
	return ret;
}

bool tip_file_discard(const char *path)
{
	char *tmp = tip_sprintf("%s.tmp", path);
	const bool had = unlink(tmp) == 0;

	free(tmp);
	return had;
}

int tip_file_write(const char *path, const void *data, size_t len, mode_t mode,
		   struct tip_error *err)
{
	return tip_file_stage(path, data, len, mode, err) < 0 ? -1 : tip_file_commit(path, err);
}

int tip_mkdir_p(const char *path, mode_t mode, struct tip_error *err)
{
	char *copy = tip_strdup(path);
	int ret = -1;

	for (char *p = copy + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST) {
			tip_error_at(err, copy, 0, 0, "cannot make the folder: %s",
				     strerror(errno));
			goto out;
		}
		*p = c;
		if (c == '\0')
			break;
	}
	ret = 0;
out:
	free(copy);
	return ret;
}

static bool has_ending(const char *name, const char *const *endings)
{
	size_t n = strlen(name), e;

	if (!endings)
		return true;
	for (; *endings; endings++) {
		e = strlen(*endings);
		if (n > e && strcmp(name + n - e, *endings) == 0)
			return true;
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int tip_file_list(const char *path, const char *const *endings, char ***out, struct tip_error *err)
{
	struct dirent *de;
	struct stat st;
	char **list = NULL;
	size_t count = 0;
	DIR *dir;

	if (stat(path, &st) < 0)
		return tip_error_at(err, path, 0, 0, "%s", strerror(errno));
	if (!S_ISDIR(st.st_mode)) {
		list = tip_calloc(1, sizeof(*list));
		list[0] = tip_strdup(path);
		*out = list;
		return 1;
	}
	dir = opendir(path);
	if (!dir)
		return tip_error_at(err, path, 0, 0, "%s", strerror(errno));
	while ((de = readdir(dir))) {
		char *full;

		if (de->d_name[0] == '.' || !has_ending(de->d_name, endings))
			continue;
		full = tip_sprintf("%s/%s", path, de->d_name);
		if (stat(full, &st) < 0 || !S_ISREG(st.st_mode)) {
			free(full);
			continue;
		}
		list = tip_realloc(list, count + 1, sizeof(*list));
		list[count++] = full;
	}
	closedir(dir);
	if (count)
		qsort(list, count, sizeof(*list), by_name);
	*out = list;
	return (int)count;
}

void tip_strings_free(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}
