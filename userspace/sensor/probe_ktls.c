/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can the kernel make TLS records, and may it? Every cipher carries a megabyte each way between two
 * sockets of ours; a third look is at the raw bytes. Runs in a child, in a network namespace that
 * goes away with it. The first TCP_ULP loads the module `tls`, which later takes rights that the
 * front does not have.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/tls.h>

#include "base/mem.h"
#include "sensor/probe.h"
#include "tipstaff/ktls.h"

#define TRIAL_BYTES 1048576
#define CHUNK       65536
#define PATIENCE_MS 5000

static const struct cipher {
	const char *name;
	unsigned int bit;
	uint16_t type;
	socklen_t len;
} ciphers[] = {
	{"AES-128-GCM", TIP_KTLS_AES_128_GCM, TLS_CIPHER_AES_GCM_128,
	 sizeof(struct tls12_crypto_info_aes_gcm_128)},
	{"AES-256-GCM", TIP_KTLS_AES_256_GCM, TLS_CIPHER_AES_GCM_256,
	 sizeof(struct tls12_crypto_info_aes_gcm_256)},
	{"ChaCha20-Poly1305", TIP_KTLS_CHACHA20_POLY1305, TLS_CIPHER_CHACHA20_POLY1305,
	 sizeof(struct tls12_crypto_info_chacha20_poly1305)},
};

/* Bytes of any cipher's key; the sequence number comes last and is 0. */
union key {
	struct tls_crypto_info info;
	struct tls12_crypto_info_aes_gcm_256 aes256;
	struct tls12_crypto_info_chacha20_poly1305 chacha;
	unsigned char bytes[sizeof(struct tls12_crypto_info_aes_gcm_256)];
};

static void make_key(union key *k, const struct cipher *c)
{
	if (getrandom(k, sizeof(*k), 0) != (ssize_t)sizeof(*k))
		memset(k, 1, sizeof(*k));
	k->info = (struct tls_crypto_info){.version = TLS_1_3_VERSION, .cipher_type = c->type};
	memset(k->bytes + c->len - TLS_CIPHER_AES_GCM_128_REC_SEQ_SIZE, 0,
	       TLS_CIPHER_AES_GCM_128_REC_SEQ_SIZE);
}

static int install(int fd, int direction, const union key *k, const struct cipher *c)
{
	return setsockopt(fd, SOL_TLS, direction, k, c->len);
}

static int set_ulp(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls") - 1);
}

static void close_pair(const int ends[2])
{
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

static int open_pair(int ends[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), saved;
	socklen_t len = sizeof(a);

	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ends[1] = -1;
	if (listener >= 0 && ends[0] >= 0 && !bind(listener, (struct sockaddr *)&a, sizeof(a)) &&
	    !listen(listener, 1) && !getsockname(listener, (struct sockaddr *)&a, &len) &&
	    !connect(ends[0], (struct sockaddr *)&a, sizeof(a)))
		ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	saved = errno;
	if (listener >= 0)
		close(listener);
	if (ends[1] < 0)
		close_pair(ends);
	errno = saved;
	return ends[1] < 0 ? -1 : 0;
}

/* ---- the trials ---- */

/* The whole of `data` from one end to the other, in the same thread. */
static bool carry(int from, int to, const unsigned char *data, unsigned char *got)
{
	size_t sent = 0, received = 0;

	while (received < TRIAL_BYTES) {
		struct pollfd p = {.fd = to, .events = POLLIN};
		size_t chunk = TRIAL_BYTES - sent < CHUNK ? TRIAL_BYTES - sent : CHUNK;
		ssize_t n = chunk ? send(from, data + sent, chunk, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

		if (n < 0 && errno != EAGAIN)
			return false;
		sent += n > 0 ? (size_t)n : 0;
		if (poll(&p, 1, PATIENCE_MS) <= 0)
			return false;
		n = recv(to, got + received, TRIAL_BYTES - received, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		received += n > 0 ? (size_t)n : 0;
	}
	return !memcmp(data, got, TRIAL_BYTES);
}

static bool try_cipher(const struct cipher *c, const unsigned char *data, unsigned char *got)
{
	bool works = false;
	union key k[2];
	int ends[2];

	if (open_pair(ends) < 0)
		return false;
	make_key(&k[0], c);
	make_key(&k[1], c);
	if (!set_ulp(ends[0]) && !set_ulp(ends[1]) && !install(ends[0], TLS_TX, &k[0], c) &&
	    !install(ends[1], TLS_RX, &k[0], c) && !install(ends[1], TLS_TX, &k[1], c) &&
	    !install(ends[0], TLS_RX, &k[1], c))
		works = carry(ends[0], ends[1], data, got) && carry(ends[1], ends[0], data, got);
	close_pair(ends);
	return works;
}

/* Is what goes out a record, and not what was written? And does the socket take another key then?
 */
static bool try_wire(bool *rekey)
{
	static const unsigned char header[] = {0x17, 3, 3, 0, sizeof("plaintext") + 1 + 16};
	unsigned char raw[sizeof(header) + sizeof("plaintext") + 1 + 16];
	union key k;
	int ends[2];
	bool works = false;

	if (open_pair(ends) < 0)
		return false;
	make_key(&k, &ciphers[0]);
	if (!set_ulp(ends[0]) && !install(ends[0], TLS_TX, &k, &ciphers[0]) &&
	    send(ends[0], "plaintext", sizeof("plaintext"), MSG_NOSIGNAL) == sizeof("plaintext")) {
		works = recv(ends[1], raw, sizeof(raw), MSG_WAITALL) == sizeof(raw) &&
			!memcmp(raw, header, sizeof(header)) &&
			!memmem(raw, sizeof(raw), "plaintext", sizeof("plaintext") - 1);
		*rekey = !install(ends[0], TLS_TX, &k, &ciphers[0]);
	}
	close_pair(ends);
	return works;
}

/*
 * A socket in a sockmap must be refused its key: where it is not, bytes that a BPF program
 * redirects into it leave in the clear (CVE-2026-93824).
 */
static bool try_sockmap(void)
{
	int map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "tip_probe", 4, 4, 1, NULL);
	bool refuses = false;
	__u32 slot = 0;
	union key k;
	int ends[2];

	if (map < 0)
		/* Without sockmaps nobody can be in one. */
		return errno == EINVAL;
	if (!open_pair(ends)) {
		make_key(&k, &ciphers[0]);
		if (!bpf_map_update_elem(map, &slot, &ends[0], BPF_ANY))
			refuses = set_ulp(ends[0]) || install(ends[0], TLS_TX, &k, &ciphers[0]);
		close_pair(ends);
	}
	close(map);
	return refuses;
}

/* Does a splice into a pipe that is too small lose what did not fit? Told, and not relied upon. */
static bool try_splice(const unsigned char *data, unsigned char *got)
{
	size_t want = (size_t)4 * CHUNK / 4, received = 0;
	int ends[2], pipes[2] = {-1, -1};
	union key k;

	if (open_pair(ends) < 0)
		return false;
	make_key(&k, &ciphers[0]);
	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) || fcntl(pipes[0], F_SETPIPE_SZ, 4096) < 0 ||
	    set_ulp(ends[0]) || set_ulp(ends[1]) || install(ends[0], TLS_TX, &k, &ciphers[0]) ||
	    install(ends[1], TLS_RX, &k, &ciphers[0]) ||
	    send(ends[0], data, want, MSG_NOSIGNAL) != (ssize_t)want)
		goto out;
	shutdown(ends[0], SHUT_WR);
	for (;;) {
		ssize_t in = splice(ends[1], NULL, pipes[1], NULL, CHUNK, SPLICE_F_NONBLOCK);
		ssize_t out;

		while ((out = read(pipes[0], got + received, want - received)) > 0)
			received += (size_t)out;
		if (in <= 0)
			break;
	}
out:
	close_pair(pipes);
	close_pair(ends);
	return received == want && !memcmp(data, got, want);
}

/* ---- the verdict ---- */

bool tip_ktls_has_fixes(const char *release, const char *version, bool exclusive)
{
	unsigned int a = 0, b = 0, c = 0;
	const char *debian = strstr(version, "Debian ");

	/* Debian's release says 6.1.0-56, its version says which kernel that is. */
	if ((!debian || sscanf(debian, "Debian %u.%u.%u", &a, &b, &c) != 3) &&
	    sscanf(release, "%u.%u.%u", &a, &b, &c) < 2)
		return false;
	if (a == 6 && b == 1)
		return c >= 191;
	if (a == 6 && b == 12)
		return c >= 114;
	/* Of the others only the youngest of the fixes can be seen from outside. */
	return (a > 6 || (a == 6 && b > 12)) && exclusive;
}

static void describe(struct tip_capability_result *r, unsigned int bits, bool splice)
{
	char list[80] = "";
	size_t len = 0;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(ciphers); i++)
		if (bits & ciphers[i].bit)
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
						len ? ", " : "", ciphers[i].name);
	tip_probe_works(r, "%s; rekey %s; splice %s", list, bits & TIP_KTLS_REKEY ? "yes" : "no",
			splice ? "exact" : "loses bytes (not used)");
	r->bits = bits;
}

void tip_probe_ktls(struct tip_capability_result *r)
{
	bool rekey = false, exclusive;
	unsigned char *data, *got;
	struct utsname name;
	unsigned int bits = 0;
	int ends[2];

	if (tip_probe_own_netns(r))
		return;
	if (tip_probe_loopback_up() || open_pair(ends) < 0) {
		tip_probe_fails(r, errno, "cannot connect over loopback for the trial");
		return;
	}
	if (set_ulp(ends[0])) {
		tip_probe_fails(r, errno, "a connected socket does not take TCP_ULP \"tls\"");
		close_pair(ends);
		return;
	}
	close_pair(ends);
	data = tip_alloc(TRIAL_BYTES);
	got = tip_alloc(TRIAL_BYTES);
	for (size_t i = 0; i < TRIAL_BYTES; i += 256)
		(void)!getrandom(data + i, 256, 0);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(ciphers); i++)
		if (try_cipher(&ciphers[i], data, got))
			bits |= ciphers[i].bit;
	exclusive = try_sockmap();
	uname(&name);
	if (!bits)
		tip_probe_fails(r, 0, "no cipher carried a megabyte each way unharmed");
	else if (!try_wire(&rekey))
		tip_probe_fails(r, 0, "what goes out is no TLS record");
	else if (!tip_ktls_has_fixes(name.release, name.version, exclusive))
		tip_probe_fails(r, 0,
				exclusive ? "works, but this kernel may lose data: Linux 6.1.191, "
					    "6.12.114 or a newer series is needed"
					  : "works, but a sockmap would let plaintext out "
					    "(CVE-2026-93824): Linux 6.1.191, 6.12.114 or newer");
	else
		describe(r, bits | (rekey ? TIP_KTLS_REKEY : 0), try_splice(data, got));
	free(data);
	free(got);
}
