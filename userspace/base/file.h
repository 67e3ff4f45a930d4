/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_FILE_H
#define TIP_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

/* Reads a whole regular file of at most `max` bytes into `out` (appended). 0, or -1 with `err`. */
int tip_file_read(const char *path, size_t max, struct tip_buf *out, struct tip_error *err);

/* The same for a secret: the file has to be root's, and nobody else's to read or to write. */
int tip_file_read_secret(const char *path, size_t max, struct tip_buf *out, struct tip_error *err);

/*
 * Replaces a file in two steps, with something between them that may fail: what is to be in it is
 * on disk as `path`.tmp, with `mode`; then that takes its place. 0, or -1 with `err` and no
 * `path`.tmp. What a crash between the two leaves is of no effect.
 */
int tip_file_stage(const char *path, const void *data, size_t len, mode_t mode,
		   struct tip_error *err);
int tip_file_commit(const char *path, struct tip_error *err);
/* Takes `path`.tmp away. Was there one? */
bool tip_file_discard(const char *path);
/* Both at once: replaces a file atomically. 0, or -1 with `err`. */
int tip_file_write(const char *path, const void *data, size_t len, mode_t mode,
		   struct tip_error *err);

/* mkdir -p with `mode` for what is missing. 0, or -1 with `err`. */
int tip_mkdir_p(const char *path, mode_t mode, struct tip_error *err);

/*
 * The regular files below a folder with one of the endings (NULL-terminated list; NULL: all),
 * sorted by name, not recursive; or `path` itself if it is a file. Returned strings and the array
 * are the caller's. Count, or -1 with `err`.
 */
int tip_file_list(const char *path, const char *const *endings, char ***out, struct tip_error *err);
void tip_strings_free(char **list, size_t count);

#endif
