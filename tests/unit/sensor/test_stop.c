/* SPDX-License-Identifier: Apache-2.0 */
/* The plaintext stop: what the other hooks did not see does not get past the packets either. */
#include <netinet/tcp.h>

#include "kernel.h"

#define DEST "127.5.5.5"

static uint64_t stopped(void)
{
	return counter(TIP_CTR_PLAIN_STOPPED);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void a_syn_to_the_application_is_dropped(void **state)
{
	const struct sockaddr_in to = at(DEST, 8080);
	struct pollfd p = {.events = POLLOUT};
	uint64_t before;
	int app, client;

	needs_root();
	app = listen4(make_socket(AF_INET, SOCK_STREAM), "0.0.0.0", 8080);
	strict(DEST, 8080);
	before = stopped();
	client = make_outside(AF_INET, SOCK_STREAM);
	assert_int_equal(connect(client, (const struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EINPROGRESS);
	until(stopped() > before);
	p.fd = client;
	assert_int_equal(poll(&p, 1, 0), 0);
	/* It was the policy: without it, the retransmitted SYN arrives. */
	no_policy();
	close(accept_one(app, NULL));
	close(client);
	close(app);
}

/* Connected before there was a policy, from inside to a server outside. */
static void what_was_connected_before_carries_nothing_out(void **state)
{
	int server, client, got;
	uint64_t before;

	needs_root();
	server = listen4(make_outside(AF_INET, SOCK_STREAM), DEST, 8080);
	client = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(dial4(client, DEST, 8080), 0);
	got = accept_one(server, NULL);
	strict(DEST, 8080);
	before = stopped();
	assert_int_equal(send(client, "x", 1, 0), 1);
	until(stopped() > before);
	assert_false(readable(got));

	/* Nor does anything come in. */
	before = stopped();
	assert_int_equal(send(got, "y", 1, 0), 1);
	until(stopped() > before);
	assert_false(readable(client));

	/* A registered connection is not plaintext on the wire. */
	{
		const struct tip_leg leg = {.client_addr = 1};
		const struct tip_flow_key k = flow(name_of(client, false), at(DEST, 8080));

		assert_int_equal(tip_sensor_leg_set(kernel.s, &k, &leg), 0);
		until(readable(got) && readable(client));
		assert_int_equal(tip_sensor_leg_clear(kernel.s, &k), 0);
	}
	close(client);
	close(got);
	close(server);
}

/* The same towards a server inside: its listener says which end was dialled. */
static void what_was_connected_before_carries_nothing_in(void **state)
{
	int server, client, got;
	uint64_t before;

	needs_root();
	server = listen4(make_socket(AF_INET, SOCK_STREAM), "0.0.0.0", 8080);
	client = make_outside(AF_INET, SOCK_STREAM);
	assert_int_equal(dial4(client, DEST, 8080), 0);
	got = accept_one(server, NULL);
	strict(DEST, 8080);
	before = stopped();
	assert_int_equal(send(client, "x", 1, 0), 1);
	until(stopped() > before);
	assert_false(readable(got));
	before = stopped();
	assert_int_equal(send(got, "y", 1, 0), 1);
	until(stopped() > before);
	assert_false(readable(client));
	no_policy();
	until(readable(got) && readable(client));
	close(client);
	close(got);
	close(server);
}

static void ours_pass(void **state)
{
	int server, client, got;
	uint64_t before;

	needs_root();
	server = listen4(make_outside(AF_INET, SOCK_STREAM), DEST, 8080);
	strict(DEST, 8080);
	before = stopped();
	client = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(tip_sensor_ours(kernel.s, client, TIP_OURS_WIRE), 0);
	assert_int_equal(dial4(client, DEST, 8080), 0);
	got = accept_one(server, NULL);
	assert_int_equal(send(client, "x", 1, 0), 1);
	until(readable(got));
	assert_int_equal(send(got, "y", 1, 0), 1);
	until(readable(client));
	close(client);
	close(got);

	/* What our listener accepts is ours too. */
	assert_int_equal(tip_sensor_worker_set(kernel.s, kernel.cookie, server), 0);
	close(server);
	server = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(tip_sensor_ours(kernel.s, server, TIP_OURS_LISTENER), 0);
	listen4(server, DEST, 8080);
	client = make_outside(AF_INET, SOCK_STREAM);
	assert_int_equal(dial4(client, DEST, 8080), 0);
	got = accept_one(server, NULL);
	assert_int_equal(send(client, "x", 1, 0), 1);
	until(readable(got));
	assert_int_equal(send(got, "y", 1, 0), 1);
	until(readable(client));
	assert_int_equal(stopped(), before);
	close(client);
	close(got);
	close(server);
}

/* A policy over all ports is about the end that is dialled, not about a client's own port. */
static void clients_may_have_any_port(void **state)
{
	struct image m = {0};
	int server, client, got;
	uint64_t before;

	needs_root();
	server = listen4(make_outside(AF_INET, SOCK_STREAM), "127.6.6.6", 8080);
	client = make_socket(AF_INET, SOCK_STREAM);
	bind4(client, DEST, 0);
	image_prefix(&m, TIP_TRAFFIC_DIALLED, DEST, 32);
	image_ports(&m, 1, 65535, 1);
	image_install(&m);
	before = stopped();
	assert_int_equal(dial4(client, "127.6.6.6", 8080), 0);
	got = accept_one(server, NULL);
	assert_int_equal(send(client, "x", 1, 0), 1);
	until(readable(got));
	assert_int_equal(send(got, "y", 1, 0), 1);
	until(readable(client));
	assert_int_equal(stopped(), before);
	close(client);
	close(got);
	close(server);
}

static void say(int fd, struct sockaddr_in to)
{
	assert_int_equal(sendto(fd, "x", 1, 0, (const struct sockaddr *)&to, sizeof(to)), 1);
}

static void udp_stays_off_enforced_ports(void **state)
{
	int inside, outside, connected;
	uint64_t before;

	needs_root();
	inside = make_socket(AF_INET, SOCK_DGRAM);
	bind4(inside, DEST, 8080);
	outside = make_outside(AF_INET, SOCK_DGRAM);
	bind4(outside, "127.6.6.6", 9090);
	connected = make_socket(AF_INET, SOCK_DGRAM);
	assert_int_equal(dial4(connected, "127.6.6.6", 9090), 0);
	say(outside, at(DEST, 8080));
	until(readable(inside));
	assert_int_equal(recv(inside, &before, 1, 0), 1);

	/* In: to a server's port. */
	strict(DEST, 8080);
	before = stopped();
	say(outside, at(DEST, 8080));
	until(stopped() > before);
	assert_false(readable(inside));
	/* Out: from it. */
	before = stopped();
	assert_int_equal(sendto(inside, "x", 1, 0,
				(const struct sockaddr *)&(struct sockaddr_in){
					.sin_family = AF_INET,
					.sin_addr.s_addr = ip4("127.6.6.6"),
					.sin_port = htons(9090)},
				sizeof(struct sockaddr_in)),
			 -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(stopped(), before + 1);
	/* Out: to one, by a socket that was connected before. */
	strict("127.6.6.6", 9090);
	assert_int_equal(send(connected, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(stopped(), before + 2);
	close(inside);
	close(outside);
	close(connected);
}

/* Somebody who asks a name server has a port of his own, which may lie in any range. */
static void udp_clients_hear_the_answer(void **state)
{
	struct image m = {0};
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	int server;

	needs_root();
	server = make_outside(AF_INET, SOCK_DGRAM);
	bind4(server, "127.6.6.6", 53);
	image_prefix(&m, TIP_TRAFFIC_DIALLED, "127.0.0.1", 32);
	image_ports(&m, 1, 65535, 1);
	image_prefix(&m, TIP_TRAFFIC_DIALLED, DEST, 32);
	image_ports(&m, 1, 65535, 1);
	image_install(&m);
	for (int how = 0; how < 4; how++) {
		const int client = make_socket(AF_INET, SOCK_DGRAM);
		const uint64_t before = stopped();
		char c;

		if (how == 1)
			assert_int_equal(dial4(client, "127.6.6.6", 53), 0);
		if (how == 2)
			bind4(client, DEST, 0);
		if (how == 3) { /* chose it: whoever does is a server */
			bind4(client, DEST, 5353);
			assert_int_equal(sendto(client, "x", 1, 0,
						(const struct sockaddr *)&(struct sockaddr_in){
							.sin_family = AF_INET,
							.sin_addr.s_addr = ip4("127.6.6.6"),
							.sin_port = htons(53)},
						sizeof(struct sockaddr_in)),
					 -1);
			close(client);
			break;
		}
		say(client, at("127.6.6.6", 53));
		until(readable(server));
		assert_int_equal(recvfrom(server, &c, 1, 0, (struct sockaddr *)&from, &len), 1);
		say(server, from);
		until(readable(client));
		assert_int_equal(stopped(), before);
		close(client);
	}
	close(server);
}

/* Raw sockets make their own packets: as TCP, in a fragment, behind extension headers. */
static void raw_packets_are_packets(void **state)
{
	struct {
		uint8_t ip[20];
		struct tcphdr tcp;
		char data[4];
	} packet = {.ip = {0x45, [8] = 64, [9] = IPPROTO_TCP}};
	const struct sockaddr_in to = at(DEST, 8080);
	const uint32_t from = ip4("127.6.6.6"), dest = ip4(DEST);
	uint64_t before;
	int fd;

	needs_root();
	strict(DEST, 8080);
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	assert_true(fd >= 0);
	memcpy(packet.ip + 12, &from, 4);
	memcpy(packet.ip + 16, &dest, 4);
	packet.tcp.source = htons(12345);
	packet.tcp.dest = htons(8080);
	packet.tcp.doff = 5;
	packet.tcp.ack = 1;
	before = stopped();
	assert_int_equal(
		sendto(fd, &packet, sizeof(packet), 0, (const struct sockaddr *)&to, sizeof(to)),
		-1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(stopped(), before + 1);
	/* Without data there is nothing in it. */
	assert_true(sendto(fd, &packet, sizeof(packet) - sizeof(packet.data), 0,
			   (const struct sockaddr *)&to, sizeof(to)) > 0);
	packet.ip[7] = 1; /* the rest of what came before: its ports cannot be seen */
	packet.tcp.dest = htons(9);
	assert_int_equal(
		sendto(fd, &packet, sizeof(packet), 0, (const struct sockaddr *)&to, sizeof(to)),
		-1);
	assert_int_equal(stopped(), before + 2);
	packet.ip[7] = 0;
	assert_true(sendto(fd, &packet, sizeof(packet), 0, (const struct sockaddr *)&to,
			   sizeof(to)) > 0);
	packet.ip[9] = IPPROTO_SCTP;
	packet.tcp.dest = htons(8080);
	assert_int_equal(
		sendto(fd, &packet, sizeof(packet), 0, (const struct sockaddr *)&to, sizeof(to)),
		-1);
	assert_int_equal(stopped(), before + 3);
	close(fd);
}

static void headers_of_ipv6_hide_nothing(void **state)
{
	/* version 6, next header 60 (destination options), then 8 bytes of them, then UDP */
	struct {
		uint8_t ip[40];
		uint8_t options[8];
		uint16_t udp[4];
	} packet = {.ip = {0x60, [5] = 16, [6] = 60, [7] = 64, [23] = 1, [39] = 1},
		    .options = {IPPROTO_UDP, 0, 1, 4},
		    .udp = {htons(12345), htons(8080), htons(8), htons(0)}};
	const struct sockaddr_in6 to = at6("::1", 0);
	uint64_t before;
	int fd;

	needs_root();
	strict("::1", 8080);
	before = stopped();
	fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	assert_true(fd >= 0);
	assert_int_equal(
		sendto(fd, &packet, sizeof(packet), 0, (const struct sockaddr *)&to, sizeof(to)),
		-1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(stopped(), before + 1);
	packet.udp[1] = htons(8081);
	assert_true(sendto(fd, &packet, sizeof(packet), 0, (const struct sockaddr *)&to,
			   sizeof(to)) > 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_complete),
		cmocka_unit_test_setup(a_syn_to_the_application_is_dropped, clean),
		cmocka_unit_test_setup(what_was_connected_before_carries_nothing_out, clean),
		cmocka_unit_test_setup(what_was_connected_before_carries_nothing_in, clean),
		cmocka_unit_test_setup(ours_pass, clean),
		cmocka_unit_test_setup(clients_may_have_any_port, clean),
		cmocka_unit_test_setup(udp_stays_off_enforced_ports, clean),
		cmocka_unit_test_setup(udp_clients_hear_the_answer, clean),
		cmocka_unit_test_setup(raw_packets_are_packets, clean),
		cmocka_unit_test_setup(headers_of_ipv6_hide_nothing, clean),
	};

	return cmocka_run_group_tests(tests, kernel_up, kernel_down);
}
