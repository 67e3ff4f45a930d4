/* SPDX-License-Identifier: Apache-2.0 */
#include "digest/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/fsverity.h>
#include <openssl/evp.h>

#include "base/map.h"
#include "base/mem.h"
#include "tipstaff/filesystems.h"

#define CHUNK (256 * 1024)
#define WHY   96

#define VERITY_MAX 64 /* SHA-512 */

/*
 * A file in a state: another content has another key. fs-verity's digest names a content by itself,
 * whichever file has it; the rest is zero then.
 */
struct file_key {
	uint64_t dev, ino, size;
	int64_t ctime_ns, mtime_ns;
	uint64_t verity_algorithm; /* FS_VERITY_HASH_ALG_*, 0: the file has no fs-verity */
	uint8_t verity[VERITY_MAX];
};

struct job {
	struct job *next;
	uint64_t tag;
	int fd;
	bool timeless; /* its times do not change with its content */
	struct file_key key;
	char sha256[TIP_DIGEST_TEXT];
	char why[WHY];
};

struct remembered {
	struct file_key key;
	char sha256[TIP_DIGEST_TEXT];
};

struct tip_digester {
	struct tip_digest_ops ops;
	uint64_t max_bytes;
	struct event *wake;
	int eventfd;
	pthread_t thread;
	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t work;
	bool ending;
	struct job *queue, **queue_tail;
	struct job *answers, **answers_tail;
	struct tip_map *cache;                     /* struct file_key -> struct remembered */
	struct remembered *ring[TIP_DIGEST_CACHE]; /* in order of age; the oldest goes first */
	size_t ring_at;
	struct tip_digest_stats stats;
};

static int64_t in_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

/* The digest that fs-verity holds the file's content to, if it does. */
static bool verity_of(int fd, struct file_key *key)
{
	struct {
		struct fsverity_digest head;
		uint8_t digest[VERITY_MAX];
	} v = {.head.digest_size = VERITY_MAX};

	_Static_assert(sizeof(v) == sizeof(v.head) + VERITY_MAX, "the digest follows its head");
	if (ioctl(fd, FS_IOC_MEASURE_VERITY, &v) || v.head.digest_size > VERITY_MAX)
		return false;
	*key = (struct file_key){.verity_algorithm = v.head.digest_algorithm};
	memcpy(key->verity, v.digest, v.head.digest_size);
	return true;
}

static void key_of(int fd, const struct stat *st, struct file_key *key)
{
	if (verity_of(fd, key))
		return;
	*key = (struct file_key){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.ctime_ns = in_ns(&st->st_ctim),
		.mtime_ns = in_ns(&st->st_mtim),
	};
}

/* Why this file has no digest, or NULL; then its key and whether it may be remembered by it. */
static const char *unfit(const struct tip_digester *d, int fd, struct job *job)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st))
		return "it cannot be looked at";
	if (!S_ISREG(st.st_mode))
		return "it is no regular file";
	if ((uint64_t)st.st_size > d->max_bytes)
		return "it is larger than limits.digest_mib";
	if (fstatfs(fd, &fs))
		return "its file system does not say what it is";
	if (tip_fs_is_foreign((unsigned long)fs.f_type))
		return "its file system may give others something else to execute";
	key_of(fd, &st, &job->key);
	job->timeless = tip_fs_is_timeless((unsigned long)fs.f_type);
	return NULL;
}

/* ---- the thread ---- */

static int hash_into(int fd, EVP_MD_CTX *md, unsigned char *chunk, uint64_t *bytes)
{
	ssize_t n;

	for (off_t at = 0;; at += n) {
		n = pread(fd, chunk, CHUNK, at);
		if (n < 0 && errno == EINTR) {
			n = 0;
			continue;
		}
		if (n <= 0)
			return (int)n;
		*bytes += (uint64_t)n;
		if (EVP_DigestUpdate(md, chunk, (size_t)n) != 1)
			return -1;
	}
}

static void hash(struct job *job, unsigned char *chunk, uint64_t *bytes)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char raw[EVP_MAX_MD_SIZE];
	struct file_key after;
	struct stat st;
	unsigned int len;

	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1 ||
	    hash_into(job->fd, md, chunk, bytes) < 0 || EVP_DigestFinal_ex(md, raw, &len) != 1) {
		snprintf(job->why, sizeof(job->why), "it cannot be read: %s", strerror(errno));
		goto out;
	}
	/* What was being written while it was read is neither the old nor the new content. */
	if (fstat(job->fd, &st) == 0)
		key_of(job->fd, &st, &after);
	else
		after = (struct file_key){0};
	if (memcmp(&after, &job->key, sizeof(after)) != 0) {
		snprintf(job->why, sizeof(job->why), "it was changed while it was read");
		goto out;
	}
	for (unsigned int i = 0; i < len; i++)
		snprintf(job->sha256 + 2 * i, 3, "%02x", raw[i]);
out:
	EVP_MD_CTX_free(md);
}

/* The lock is held. */
static const struct remembered *recall(struct tip_digester *d, const struct file_key *key)
{
	return tip_map_get(d->cache, key, sizeof(*key));
}

/* The lock is held. */
static void remember(struct tip_digester *d, const struct job *job)
{
	struct remembered *r, **place = &d->ring[d->ring_at];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (job->timeless || job->key.ctime_ns > in_ns(&now) - (int64_t)TIP_DIGEST_SETTLED_NS ||
	    recall(d, &job->key))
		return;
	if (*place) {
		tip_map_del(d->cache, &(*place)->key, sizeof((*place)->key));
		free(*place);
	}
	r = tip_alloc(sizeof(*r));
	r->key = job->key;
	memcpy(r->sha256, job->sha256, sizeof(r->sha256));
	tip_map_put(d->cache, &r->key, sizeof(r->key), r);
	*place = r;
	d->ring_at = (d->ring_at + 1) % TIP_DIGEST_CACHE;
}

static void work_on(struct tip_digester *d, struct job *job, unsigned char *chunk)
{
	const struct remembered *r = recall(d, &job->key);
	uint64_t bytes = 0;

	/* Somebody who asked before waited for the same file. */
	if (r) {
		memcpy(job->sha256, r->sha256, sizeof(job->sha256));
		d->stats.remembered++;
		return;
	}
	pthread_mutex_unlock(&d->lock);
	hash(job, chunk, &bytes);
	pthread_mutex_lock(&d->lock);
	d->stats.bytes += bytes;
	if (!job->sha256[0]) {
		d->stats.refused++;
		return;
	}
	d->stats.hashed++;
	remember(d, job);
}

static void answer(struct tip_digester *d, struct job *job)
{
	const uint64_t one = 1;

	if (job->fd >= 0)
		close(job->fd);
	job->fd = -1;
	job->next = NULL;
	*d->answers_tail = job;
	d->answers_tail = &job->next;
	/* Full means that the loop has been woken often enough. */
	if (write(d->eventfd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

static void *worker(void *ctx)
{
	struct tip_digester *d = ctx;
	unsigned char *chunk = tip_alloc(CHUNK);

	/* Whoever starts programs is to wait for digests, not the other way round. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
	pthread_mutex_lock(&d->lock);
	while (!d->ending) {
		struct job *job = d->queue;

		if (!job) {
			pthread_cond_wait(&d->work, &d->lock);
			continue;
		}
		d->queue = job->next;
		if (!d->queue)
			d->queue_tail = &d->queue;
		work_on(d, job, chunk);
		d->stats.waiting--;
		answer(d, job);
	}
	pthread_mutex_unlock(&d->lock);
	free(chunk);
	return NULL;
}

/* ---- the loop's side ---- */

static void on_answers(evutil_socket_t fd, short what, void *ctx)
{
	struct tip_digester *d = ctx;
	struct job *list, *next;
	uint64_t count;

	if (read((int)fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		abort();
	pthread_mutex_lock(&d->lock);
	list = d->answers;
	d->answers = NULL;
	d->answers_tail = &d->answers;
	pthread_mutex_unlock(&d->lock);
	for (; list; list = next) {
		next = list->next;
		d->ops.done(d->ops.ctx, list->tag, list->sha256, list->why);
		free(list);
	}
}

struct tip_digester *tip_digester_new(struct event_base *base, uint64_t max_bytes,
				      const struct tip_digest_ops *ops)
{
	struct tip_digester *d = tip_alloc(sizeof(*d));
	sigset_t all, before;
	int failed;

	d->ops = *ops;
	d->max_bytes = max_bytes;
	d->queue_tail = &d->queue;
	d->answers_tail = &d->answers;
	d->cache = tip_map_new();
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->work, NULL);
	d->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->eventfd < 0)
		goto fail;
	d->wake = event_new(base, d->eventfd, EV_READ | EV_PERSIST, on_answers, d);
	event_add(d->wake, NULL);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&d->thread, NULL, worker, d);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!failed)
		return d;
	event_free(d->wake);
	close(d->eventfd);
	errno = failed;
fail:
	tip_map_free(d->cache, NULL);
	free(d);
	return NULL;
}

static void free_jobs(struct job *list)
{
	struct job *next;

	for (; list; list = next) {
		next = list->next;
		if (list->fd >= 0)
			close(list->fd);
		free(list);
	}
}

void tip_digester_free(struct tip_digester *d)
{
	if (!d)
		return;
	pthread_mutex_lock(&d->lock);
	d->ending = true;
	pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->thread, NULL);
	free_jobs(d->queue);
	free_jobs(d->answers);
	event_free(d->wake);
	close(d->eventfd);
	tip_map_free(d->cache, free);
	pthread_cond_destroy(&d->work);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

bool tip_digester_ask(struct tip_digester *d, int fd, uint64_t tag, char out[TIP_DIGEST_TEXT])
{
	struct job *job = tip_alloc(sizeof(*job));
	const struct remembered *r;
	const char *why;

	job->tag = tag;
	job->fd = -1;
	why = unfit(d, fd, job);
	pthread_mutex_lock(&d->lock);
	if (!why) {
		r = recall(d, &job->key);
		if (r) {
			memcpy(out, r->sha256, TIP_DIGEST_TEXT);
			d->stats.remembered++;
			pthread_mutex_unlock(&d->lock);
			free(job);
			return true;
		}
		if (d->stats.waiting >= TIP_DIGEST_QUEUE)
			why = "too many files wait to be hashed";
		else if ((job->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0)
			why = "there is no file descriptor left";
	}
	if (why) {
		snprintf(job->why, sizeof(job->why), "%s", why);
		d->stats.refused++;
		answer(d, job);
	} else {
		*d->queue_tail = job;
		d->queue_tail = &job->next;
		d->stats.waiting++;
		pthread_cond_signal(&d->work);
	}
	pthread_mutex_unlock(&d->lock);
	return false;
}

void tip_digester_stats(struct tip_digester *d, struct tip_digest_stats *out)
{
	pthread_mutex_lock(&d->lock);
	*out = d->stats;
	pthread_mutex_unlock(&d->lock);
}
