/* SPDX-License-Identifier: Apache-2.0 */
#include "alert/out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define POLL_MS  200 /* how late a stop is noticed while the reader does not read */
#define IOV_MOST 64

/* ---- the writer ------------------------------------------------------------------------------ */

void tip_writer_use(struct tip_writer *w, int fd)
{
	struct stat st;

	w->fd = fd;
	w->torn = false;
	w->offset = 0;
	w->is_socket = w->chunked = false;
	if (fd >= 0 && fstat(fd, &st) == 0) {
		w->is_socket = S_ISSOCK(st.st_mode);
		/*
		 * A pipe that poll() calls writable takes PIPE_BUF bytes at once. Its O_NONBLOCK is
		 * not ours to set: stdout's file description is shared with whoever started us.
		 */
		w->chunked = S_ISFIFO(st.st_mode);
	}
}

/* What of the lines from `offset` of the first may go out in one call. How many pieces. */
static int gather(const struct tip_writer *w, struct tip_line *const *lines, size_t n,
		  struct iovec *iov)
{
	size_t left = w->chunked ? PIPE_BUF : SIZE_MAX, offset = w->offset;
	int count = 0;

	if (w->torn) {
		static char newline[] = "\n";

		iov[count++] = (struct iovec){newline, 1};
		left--;
	}
	for (size_t i = 0; i < n && left && count < IOV_MOST; i++) {
		size_t len = lines[i]->len - offset;

		if (len > left)
			len = left;
		iov[count++] = (struct iovec){lines[i]->text + offset, len};
		left -= len;
		offset = 0;
	}
	return count;
}

/* Takes note of `done` written bytes. */
static void advance(struct tip_writer *w, struct tip_line *const *lines, size_t *taken, size_t done)
{
	if (done && w->torn) {
		w->torn = false;
		done--;
	}
	while (done) {
		size_t left = lines[*taken]->len - w->offset;

		if (done < left) {
			w->offset += done;
			return;
		}
		done -= left;
		w->offset = 0;
		++*taken;
	}
}

static ssize_t write_some(const struct tip_writer *w, struct iovec *iov, int count)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};

	if (w->is_socket)
		return sendmsg(w->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	return writev(w->fd, iov, count);
}

/* True once `fd` may be written to, or has an error to tell. */
static bool writable(struct tip_writer *w)
{
	struct pollfd p[] = {{.fd = w->fd, .events = POLLOUT}, {.fd = w->side, .events = POLLIN}};
	const bool side = w->attend && w->side >= 0;

	if (poll(p, side ? 2 : 1, POLL_MS) <= 0)
		return false;
	if (side && p[1].revents)
		w->attend(w->ctx);
	return p[0].revents != 0;
}

int tip_writer_deliver(struct tip_writer *w, struct tip_line *const *lines, size_t n, size_t *taken,
		       const struct tip_out_pace *pace)
{
	uint64_t since = tip_clock_monotonic();
	struct iovec iov[IOV_MOST];

	*taken = 0;
	while (*taken < n) {
		ssize_t done = -1;

		errno = EAGAIN;
		if (writable(w))
			done = write_some(w, iov, gather(w, lines + *taken, n - *taken, iov));
		if (done > 0) {
			advance(w, lines, taken, (size_t)done);
			since = tip_clock_monotonic();
			continue;
		}
		if (done == 0)
			errno = EIO;
		if (errno != EAGAIN && errno != EINTR) {
			int error = errno;

			/* What was cut off, by a full disk say, spoils only itself. */
			w->torn = w->torn || w->offset;
			w->offset = 0;
			return error;
		}
		if (pace->late(pace->ctx))
			return ECANCELED;
		if (tip_clock_monotonic() - since >= pace->timeout_ns)
			return EAGAIN;
		if (done < 0 && errno == EAGAIN)
			/* writable for poll(), but not for that much: a full tty, a socket */
			poll(NULL, 0, 10);
	}
	return 0;
}

/* ---- a descriptor as a way out ----------------------------------------------------------------
 */

struct out_fd {
	struct tip_out out;
	struct tip_writer writer;
	bool own;
};

static int deliver(struct tip_out *out, struct tip_line *const *lines, size_t n, size_t *taken,
		   const struct tip_out_pace *pace)
{
	return tip_writer_deliver(&((struct out_fd *)out)->writer, lines, n, taken, pace);
}

static void set_fd(struct tip_out *out, int fd)
{
	struct out_fd *o = (struct out_fd *)out;

	if (o->own)
		close(o->writer.fd);
	tip_writer_use(&o->writer, fd);
	o->own = true;
}

static void close_fd(struct tip_out *out, uint64_t deadline_ns)
{
	struct out_fd *o = (struct out_fd *)out;

	if (o->own)
		close(o->writer.fd);
	free(o);
}

static const struct tip_out_ops fd_ops = {.deliver = deliver, .set_fd = set_fd, .close = close_fd};

struct tip_out *tip_out_fd(int fd, bool own)
{
	struct out_fd *o = tip_alloc(sizeof(*o));

	o->out.ops = &fd_ops;
	o->own = own;
	o->writer.side = -1;
	tip_writer_use(&o->writer, fd);
	return &o->out;
}

int tip_out_open_file(const char *path, struct tip_error *err)
{
	struct stat st;
	int fd;

	/* O_NONBLOCK: a FIFO without a reader must not hold the daemon up; it is refused below. */
	fd = open(path,
		  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
		  0600);
	if (fd < 0) {
		tip_error_set(err, "cannot open the alert file %s: %s%s", path, strerror(errno),
			      errno == ELOOP    ? " (a symbolic link is not followed)"
			      : errno == ENOENT ? " (its folder has to exist)"
						: "");
		return -1;
	}
	if (fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISCHR(st.st_mode))) {
		close(fd);
		return tip_error_set(err, "the alert file %s is not a regular file", path);
	}
	return fd;
}
