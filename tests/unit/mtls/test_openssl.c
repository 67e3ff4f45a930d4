/* SPDX-License-Identifier: Apache-2.0 */
/* The openssl program at the other end, in both roles, with and without our ALPN. */
#include "relay.h"

#include <sys/stat.h>
#include <sys/wait.h>

struct files {
	char dir[32], cert[64], key[64], ca[64];
};

static void write_pem(const char *path, X509 *cert, EVP_PKEY *key)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	if (cert)
		assert_int_equal(PEM_write_X509(f, cert), 1);
	if (key)
		assert_int_equal(PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
}

static void files_make(struct files *f, const struct pki *leaf, const struct pki *ca)
{
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/tip-mtls-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->cert, sizeof(f->cert), "%s/cert.pem", f->dir);
	(void)snprintf(f->key, sizeof(f->key), "%s/key.pem", f->dir);
	(void)snprintf(f->ca, sizeof(f->ca), "%s/ca.pem", f->dir);
	write_pem(f->cert, leaf->cert, NULL);
	write_pem(f->key, NULL, leaf->key);
	write_pem(f->ca, ca->cert, NULL);
}

static void files_remove(const struct files *f)
{
	unlink(f->cert);
	unlink(f->key);
	unlink(f->ca);
	rmdir(f->dir);
}

/* Starts a program with pipes for its stdin and stdout. */
static pid_t start(const char *const argv[], int *in, int *out)
{
	int to[2], from[2];
	pid_t pid;

	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		/* What it tells people is noise here. */
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	*in = to[1];
	*out = from[0];
	return pid;
}

static void stop(pid_t pid, int in, int out)
{
	int status;

	close(in);
	close(out);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void read_exactly(int fd, char *to, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n;

		wait_for(fd, POLLIN, 5000);
		n = read(fd, to + got, len - got);
		assert_true(n > 0);
		got += (size_t)n;
	}
}

static void test_s_server(void **state)
{
	for (int alpn = 0; alpn < 2; alpn++) {
		char port_text[8], got[8] = "";
		struct world *w = *state;
		struct tip_backend *b;
		struct tip_session *c;
		struct files f;
		uint16_t port;
		ssize_t n;
		pid_t pid;
		int fd, in, out;

		close(tcp_listen(&port));
		(void)snprintf(port_text, sizeof(port_text), "%u", port);
		files_make(&f, &w->server, &w->ca_a);
		const char *const argv[] = {"openssl",
					    "s_server",
					    "-accept",
					    port_text,
					    "-cert",
					    f.cert,
					    "-key",
					    f.key,
					    "-CAfile",
					    f.ca,
					    "-Verify",
					    "1",
					    "-verify_return_error",
					    "-purpose",
					    "any",
					    "-rev",
					    "-quiet",
					    alpn ? "-alpn" : NULL,
					    TIP_MTLS_ALPN,
					    NULL};

		pid = start(argv, &in, &out);
		for (int i = 0; (fd = tcp_connect(port)) < 0 && i < 500; i++)
			usleep(10000);
		assert_true(fd >= 0);
		c = client_of(w, fd, NULL, ORDERS);
		if (alpn) {
			/* It agrees to our ALPN, and then says no verdict. */
			for (int i = 0; i < 100; i++) {
				assert_int_not_equal(tip_session_step(c), TIP_STEP_DONE);
				usleep(3000);
			}
			assert_true(tip_session_has_verdict(c));
			tip_session_free(c);
			stop(pid, in, out);
			files_remove(&f);
			continue;
		}
		assert_int_equal(finish_one(c, TIP_VERDICT_OK), TIP_STEP_DONE);
		assert_false(tip_session_has_verdict(c));
		b = tip_session_take(c);
		tip_session_free(c);
		assert_int_equal(b->ops->write(b, "olleh\n", 6), 6);
		/* What comes besides (tickets) is none of the application's affair. */
		while ((n = b->ops->read(b, got, sizeof(got))) == TIP_IO_WANT_READ)
			wait_for(b->fd, POLLIN, 5000);
		assert_int_equal(n, 6);
		assert_memory_equal(got, "hello\n", 6);
		assert_int_equal(b->ops->shutdown_write(b), 0);
		b->ops->close(b);
		close(fd);
		stop(pid, in, out);
		files_remove(&f);
	}
}

static void test_s_client(void **state)
{
	for (int alpn = 0; alpn < 2; alpn++) {
		struct ask a = {.answer = TIP_VERDICT_OK};
		char address[32], got[16] = "";
		struct world *w = *state;
		struct tip_backend *b;
		struct tip_session *s;
		struct files f;
		uint16_t port;
		pid_t pid;
		ssize_t n;
		int l = tcp_listen(&port), fd, in, out;

		(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
		files_make(&f, &w->client, &w->ca_a);
		const char *const argv[] = {"openssl",
					    "s_client",
					    "-connect",
					    address,
					    "-cert",
					    f.cert,
					    "-key",
					    f.key,
					    "-CAfile",
					    f.ca,
					    "-quiet",
					    "-verify_return_error",
					    alpn ? "-alpn" : NULL,
					    TIP_MTLS_ALPN,
					    NULL};

		pid = start(argv, &in, &out);
		wait_for(l, POLLIN, 10000);
		fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
		s = server_of(w, fd, NULL, &a);
		assert_int_equal(finish_one(s, TIP_VERDICT_OK), TIP_STEP_DONE);
		assert_string_equal(a.peer, FRONTEND);
		assert_int_equal(tip_session_has_verdict(s), alpn);
		b = tip_session_take(s);
		tip_session_free(s);
		if (alpn) {
			read_exactly(out, got, TIP_VERDICT_LEN);
			assert_memory_equal(got, "\x01\x01\x00\x07", TIP_VERDICT_LEN);
		}
		assert_int_equal(write(in, "hello\n", 6), 6);
		while ((n = b->ops->read(b, got, sizeof(got))) == TIP_IO_WANT_READ)
			wait_for(b->fd, POLLIN, 5000);
		assert_int_equal(n, 6);
		assert_int_equal(b->ops->write(b, "answer", 6), 6);
		read_exactly(out, got, 6);
		assert_memory_equal(got, "answer", 6);
		b->ops->close(b);
		close(fd);
		close(l);
		stop(pid, in, out);
		files_remove(&f);
	}
}

/* A server that does not know our authority: the client learns of it by the alert. */
static void test_s_server_refuses(void **state)
{
	struct world *w = *state;
	struct tip_session *c;
	struct tip_backend *b;
	char port_text[8], got[8];
	struct files f;
	uint16_t port;
	pid_t pid;
	ssize_t n;
	int fd, in, out;

	close(tcp_listen(&port));
	(void)snprintf(port_text, sizeof(port_text), "%u", port);
	files_make(&f, &w->server, &w->ca_b);
	const char *const argv[] = {"openssl",
				    "s_server",
				    "-accept",
				    port_text,
				    "-cert",
				    f.cert,
				    "-key",
				    f.key,
				    "-CAfile",
				    f.ca,
				    "-Verify",
				    "1",
				    "-verify_return_error",
				    "-quiet",
				    NULL};

	pid = start(argv, &in, &out);
	for (int i = 0; (fd = tcp_connect(port)) < 0 && i < 500; i++)
		usleep(10000);
	c = client_of(w, fd, NULL, ORDERS);
	/* In TLS 1.3 without a verdict the client is done before it is refused. */
	assert_int_equal(finish_one(c, TIP_VERDICT_OK), TIP_STEP_DONE);
	b = tip_session_take(c);
	tip_session_free(c);
	while ((n = b->ops->read(b, got, sizeof(got))) == TIP_IO_WANT_READ)
		wait_for(b->fd, POLLIN, 5000);
	assert_int_equal(n, TIP_IO_FAILED);
	assert_int_equal(b->cause, TIP_MTLS_PEER_ALERT);
	b->ops->close(b);
	close(fd);
	stop(pid, in, out);
	files_remove(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s_server),
		cmocka_unit_test(test_s_client),
		cmocka_unit_test(test_s_server_refuses),
	};

	return run_over_backends(tests, world_set_up, world_tear_down);
}
