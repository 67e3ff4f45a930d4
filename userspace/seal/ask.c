/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/spawn.h"
#include "seal/tpm.h"

/* Discrete TPMs take a second for a key; one that another program holds makes us wait. */
#define TIMEOUT_NS (60 * TIP_NSEC_PER_SEC)
#define ANSWER_MAX (1 + TIP_TPM_SECRET + TIP_TPM_BLOB_MAX)

/* This very binary, with the blob on its standard input and its answer on `answer`. */
static int spawn(const char *tcti, int blob, int answer, pid_t *pid, struct tip_error *err)
{
	const char *const argv[] = {"tipstaffd", "--tpm", tcti, NULL};
	/* The libraries' own log would be lines without a place; what it says is in the error. */
	const char *const env[] = {"TSS2_LOG=all+NONE", NULL};
	const struct tip_spawn child = {
		.path = "/proc/self/exe",
		.argv = argv,
		.env = env,
		.fds = {blob, answer, TIP_SPAWN_SAME, TIP_SPAWN_SAME},
	};
	const int ret = tip_spawn(&child, pid);

	return ret ? tip_error_set(err, "posix_spawn: %s", strerror(ret)) : 0;
}

/* Reads to the end, into memory that nobody moves. */
static int read_answer(int fd, uint8_t *out, size_t *len, struct tip_error *err)
{
	const uint64_t until = tip_clock_monotonic() + TIMEOUT_NS;
	ssize_t n = 1;

	*len = 0;
	while (n > 0 && *len < ANSWER_MAX) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = tip_clock_monotonic();

		if (now >= until)
			return tip_error_set(err, "the TPM does not answer");
		if (poll(&p, 1, (int)((until - now) / 1000000) + 1) <= 0)
			continue;
		n = read(fd, out + *len, ANSWER_MAX - *len);
		if (n < 0 && errno != EINTR)
			return tip_error_set(err, "its answer: %s", strerror(errno));
		if (n > 0)
			*len += (size_t)n;
		else if (n < 0)
			n = 1;
	}
	return 0;
}

static int take_answer(const uint8_t *answer, size_t len, struct tip_buf *blob,
		       uint8_t secret[TIP_TPM_SECRET], struct tip_error *err)
{
	struct tip_tpm_blob parts;

	if (len > 1 && answer[0] == 'E')
		return tip_error_set(err, "%.*s", (int)(len - 1), (const char *)answer + 1);
	if (len <= 1 + TIP_TPM_SECRET || answer[0] != 'K')
		return tip_error_set(err, "the process that asks the TPM ended without an answer");
	answer += 1;
	len -= 1;
	if (tip_tpm_blob_read(&parts, answer + TIP_TPM_SECRET, len - TIP_TPM_SECRET, err) < 0)
		return -1;
	memcpy(secret, answer, TIP_TPM_SECRET);
	tip_buf_reset(blob);
	tip_buf_add(blob, answer + TIP_TPM_SECRET, len - TIP_TPM_SECRET);
	return 0;
}

int tip_tpm_ask(const char *tcti, struct tip_buf *blob, uint8_t secret[TIP_TPM_SECRET],
		struct tip_error *err)
{
	uint8_t answer[ANSWER_MAX];
	int in[2] = {-1, -1}, out[2] = {-1, -1}, ret = -1;
	pid_t pid = 0;
	size_t len = 0;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
		tip_error_set(err, "pipe: %s", strerror(errno));
		goto out;
	}
	/* Less than a pipe holds: it is there before anybody reads. */
	if (blob->len && write(in[1], blob->data, blob->len) != (ssize_t)blob->len) {
		tip_error_set(err, "pipe: %s", strerror(errno));
		goto out;
	}
	close(in[1]);
	in[1] = -1;
	if (spawn(tcti, in[0], out[1], &pid, err) < 0)
		goto out;
	close(out[1]);
	out[1] = -1;
	if (read_answer(out[0], answer, &len, err) == 0)
		ret = take_answer(answer, len, blob, secret, err);
out:
	OPENSSL_cleanse(answer, sizeof(answer));
	for (int i = 0; i < 2; i++) {
		if (in[i] >= 0)
			close(in[i]);
		if (out[i] >= 0)
			close(out[i]);
	}
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return ret;
}
