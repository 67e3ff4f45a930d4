/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/config_read.h"

#include <string.h>
#include <syslog.h>

#include "base/address.h"
#include "base/version.h"
#include "policy/spiffe_id.h"

/* What holds when a key is not there, and what keys mean together. */

#define JWT_TTL 300 /* seconds */

typedef struct tip_config_reading reading;

void tip_config_defaults(struct tip_config *c)
{
	c->instance = "default";
	c->run_dir = "/run/tipstaff";
	c->state_dir = "/var/lib/tipstaff";
	c->front_user = "";
	c->alerts_file = "";
	c->seal_tcti = "";
	c->log_level = TIP_LOG_INFO;
	c->enforcement = true;
	c->prefilter = true;
	c->alerts_stdout = true;
	c->alerts_json = true;
	c->syslog_socket = "/dev/log";
	c->syslog_facility = LOG_DAEMON;
	c->program_user = "";
	c->http_url = c->http_ca_cert = c->http_server_id = c->http_svid = "";
	c->http_client_cert = c->http_client_key = "";
	c->http_max_timeouts = UINT32_MAX;
	c->http_user_agent = "tipstaff/" TIP_VERSION;
	c->kubelet_url = c->kubelet_ca = c->kubelet_token = c->kubelet_name = "";
	c->http_keep_alive = true;
	c->http_timeout = 10000;
	c->program_keep_alive = true;
	c->include_output = c->include_fields = c->include_tags = true;
	c->alert_timeout = 2000;
	c->alert_queue = 4096;
	c->rate_limit.max_burst = 10;
	c->spool_mib = 64;
	c->min_priority = TIP_PRIO_DEBUG;
	c->drops_actions = TIP_DROPS_LOG | TIP_DROPS_ALERT;
	c->drops_rate = 0.03333;
	c->drops_burst = 1;
	c->metrics_interval = 3600;
	c->metrics_rules = c->metrics_resources = c->metrics_state = c->metrics_kernel = true;
	c->metrics_mb = true;
	c->x509_ttl = 3600;
	c->ca_ttl = 86400 * 30;
	c->max_processes = 32768;
	c->lifecycle_ring = 512u << 10;
	c->activity_ring = 1u << 20;
	c->max_connections = 4096;
	c->max_connections_per_uid = 1024;
	c->traffic_port = 15049;
	c->traffic_veth_stop = true;
	c->max_held_connects = 1024;
	c->max_handshakes = 512;
	c->max_relays = 4096;
	c->max_redirects_per_identity = 16384;
	c->max_redirects_per_namespace = 4096;
	c->max_listeners_per_namespace = 2048;
	c->relay_buffers_mib = 64;
	c->digest_mib = 1024;
	c->container_events = true;
	c->container_hold_ms = 1000;
	c->max_containers = TIP_CONTAINERS_MAX;
}

static bool name_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n >= 1 && n <= 32 && s[n] == '\0';
}

/* Where a key stands, for errors about its meaning. */
static const struct tip_yaml *value_at(const struct tip_yaml *root, const char *key)
{
	const struct tip_yaml *n = tip_yaml_get(root, key);

	return n ? n : root;
}

/* An identity of our own trust domain. */
static int check_own_id(const reading *r, const struct tip_yaml *n, const char *key, const char *id)
{
	struct tip_error err;

	if (!*id)
		return 0;
	if (tip_spiffe_id_check(id, true, &err) < 0)
		return tip_config_bad(r, n, key, err.text);
	if (!tip_spiffe_id_in(id, r->c->trust_domain))
		return tip_config_bad(r, n, key, "must be of this daemon's trust domain");
	return 0;
}

static bool printable(const char *s)
{
	while (*s >= ' ' && *s <= '~')
		s++;
	return !*s;
}

/* What the daemon shows of itself. */
static int check_shown(const reading *r, const struct tip_yaml *n)
{
	const struct tip_config *c = r->c;

	if (!*c->http_client_cert != !*c->http_client_key ||
	    (c->http_mtls && !*c->http_client_cert && !*c->http_svid))
		return tip_config_bad(r, n, "alerts.http",
				      "a certificate from a file needs both client_cert and "
				      "client_key");
	if (*c->http_client_cert && *c->http_svid)
		return tip_config_bad(r, n, "alerts.http.client_cert",
				      "the daemon can show this or its own SVID (svid); give one");
	return 0;
}

static int check_http(const reading *r, const struct tip_yaml *root)
{
	struct tip_config *c = r->c;
	const struct tip_yaml *n = tip_yaml_get(value_at(root, "alerts"), "http");
	const char *why;

	if (!n)
		n = value_at(root, "http_output");
	if (!c->http)
		return 0;
	c->http_line = n->line;
	c->http_column = n->column;
	if (tip_url_parse(c->http_url, &c->http_at, &why) < 0)
		return tip_config_bad(r, n, "alerts.http.url",
				      *c->http_url ? why : "is missing; give the server's URL");
	if (!printable(c->http_user_agent) || strlen(c->http_user_agent) > 200)
		return tip_config_bad(r, n, "alerts.http.user_agent",
				      "must be at most 200 bytes of printable ASCII");
	if (check_own_id(r, n, "alerts.http.server_id", c->http_server_id) < 0 ||
	    check_own_id(r, n, "alerts.http.svid", c->http_svid) < 0)
		return -1;
	if (check_shown(r, n) < 0)
		return -1;
	if (!c->http_at.tls &&
	    (*c->http_ca_cert || *c->http_server_id || *c->http_svid || *c->http_client_cert))
		return tip_config_bad(r, n, "alerts.http.url",
				      "must begin with https:// for ca_cert, server_id, svid and "
				      "client_cert");
	if (c->http_at.tls && !*c->http_ca_cert == !*c->http_server_id)
		return tip_config_bad(
			r, n, "alerts.http",
			"needs either ca_cert, the certificates of those who may vouch for the "
			"server (the system's are in /etc/ssl/certs/ca-certificates.crt), or "
			"server_id, the SPIFFE ID that it has to have");
	return 0;
}

static int check_kubelet(const reading *r, const struct tip_yaml *root)
{
	struct tip_config *c = r->c;
	const struct tip_yaml *n = tip_yaml_get(value_at(root, "containers"), "kubelet"), *url;
	union tip_address address;
	const char *why;

	if (!n)
		return 0;
	if (!*c->kubelet_url)
		return tip_config_bad(
			r, n, "containers.kubelet.url",
			"is missing; give the kubelet's address: https://127.0.0.1:10250");
	url = value_at(n, "url");
	if (tip_url_parse(c->kubelet_url, &c->kubelet_at, &why) < 0)
		return tip_config_bad(r, url, "containers.kubelet.url", why);
	if (!tip_address_parse(c->kubelet_at.host, c->kubelet_at.port, &address))
		return tip_config_bad(r, url, "containers.kubelet.url",
				      "the host must be an address; a name that its certificate "
				      "is for goes into server_name");
	if (strcmp(c->kubelet_at.target, "/") != 0)
		return tip_config_bad(r, url, "containers.kubelet.url",
				      "must end behind the port: it is asked for /pods");
	if (c->kubelet_at.tls && !*c->kubelet_ca)
		return tip_config_bad(r, n, "containers.kubelet.ca_cert",
				      "is missing; give the certificates of those who may vouch "
				      "for the kubelet (/var/lib/kubelet/pki/kubelet.crt where it "
				      "has made its own)");
	if (!c->kubelet_at.tls && (*c->kubelet_ca || *c->kubelet_token || *c->kubelet_name))
		return tip_config_bad(r, url, "containers.kubelet.url",
				      "must begin with https:// for ca_cert, token_file and "
				      "server_name: no token is sent in the clear");
	if (strlen(c->kubelet_name) > 255)
		return tip_config_bad(r, value_at(n, "server_name"),
				      "containers.kubelet.server_name", "is longer than 255 bytes");
	return 0;
}

int tip_config_check(reading *r, const struct tip_yaml *root)
{
	struct tip_config *c = r->c;
	const struct tip_yaml *n;
	struct tip_error err;

	n = value_at(root, "trust_domain");
	if (!c->trust_domain)
		return tip_config_bad(r, root, "trust_domain",
				      "is missing; give the name of your trust domain");
	if (tip_trust_domain_check(c->trust_domain, &err) < 0)
		return tip_config_bad(r, n, "trust_domain", err.text);
	n = value_at(root, "instance");
	if (!name_ok(c->instance))
		return tip_config_bad(r, n, "instance", "must be 1 to 32 of [a-z0-9-]");
	if (strlen(c->run_dir) > 80)
		return tip_config_bad(
			r, value_at(root, "run_dir"), "run_dir",
			"is longer than 80 bytes: a UNIX socket's path would not fit");
	if (c->file_output && !*c->alerts_file)
		return tip_config_bad(r, value_at(root, "file_output"), "file_output.filename",
				      "is missing; give the file's absolute path");
	n = value_at(root, "alerts");
	if (c->program && !*c->program_user)
		return tip_config_bad(
			r, n, "alerts.program.user",
			"is missing; give the program a user of its own: neither root "
			"nor the front's");
	if (strlen(c->syslog_socket) >= 108)
		return tip_config_bad(
			r, n, "alerts.syslog.socket",
			"is longer than 107 bytes: a UNIX socket's path would not fit");
	if (check_http(r, root) < 0 || check_kubelet(r, root) < 0)
		return -1;
	n = value_at(root, "limits");
	if (c->max_relays_per_identity > c->max_relays)
		return tip_config_bad(r, n, "limits.relays_per_identity",
				      "must not be larger than relays");
	if (c->max_held_per_identity > c->max_held_connects)
		return tip_config_bad(r, n, "limits.held_connects_per_identity",
				      "must not be larger than held_connects");
	if (c->max_handshakes_per_identity > c->max_handshakes)
		return tip_config_bad(r, n, "limits.handshakes_per_identity",
				      "must not be larger than handshakes");
	if (c->max_connections_per_identity > c->max_connections)
		return tip_config_bad(r, n, "limits.connections_per_identity",
				      "must not be larger than connections");
	if (c->max_handshakes > c->max_relays)
		return tip_config_bad(r, value_at(root, "limits"), "limits.handshakes",
				      "must not be larger than relays");
	if (c->ca_ttl < c->x509_ttl)
		return tip_config_bad(r, value_at(root, "identity"), "identity.authority.ca_ttl",
				      "must not be shorter than x509_ttl");
	if (c->ca_ttl < c->jwt_ttl)
		return tip_config_bad(r, value_at(root, "identity"), "identity.authority.ca_ttl",
				      "must not be shorter than jwt_ttl");
	return 0;
}

static bool given(const struct tip_yaml *root, const char *map, const char *key)
{
	const struct tip_yaml *n = tip_yaml_get(root, map);

	return n && tip_yaml_get(n, key);
}

/* Defaults that lean on other keys. */
void tip_config_complete(struct tip_config *c, const struct tip_yaml *root)
{
	static const char *every_name[] = {"*"};
	static const char *docker[] = {"/run/docker.sock"};
	static const char *podman[] = {"/run/podman/podman.sock"};
	static const char *cri[] = {"/run/containerd/containerd.sock", "/run/crio/crio.sock",
				    "/run/k3s/containerd/containerd.sock"};
	bool whole_node = !c->nscope;

	/* Falco's own file has names of files also where they are not used. */
	if (given(root, "file_output", "filename") && !c->file_output)
		c->alerts_file = "";
	if (given(root, "http_output", "client_cert") && !c->http_mtls)
		c->http_client_cert = "";
	if (given(root, "http_output", "client_key") && !c->http_mtls)
		c->http_client_key = "";
	c->traffic = given(root, "traffic", "files");
	if (!given(root, "traffic", "host_network"))
		c->traffic_host = whole_node;
	if (!given(root, "traffic", "namespaces")) {
		c->traffic_namespaces = every_name;
		c->ntraffic_namespaces = whole_node ? 1 : 0;
	}
	if (!given(root, "containers", "docker")) {
		c->docker = docker;
		c->ndocker = TIP_ARRAY_SIZE(docker);
	}
	if (!given(root, "containers", "podman")) {
		c->podman = podman;
		c->npodman = TIP_ARRAY_SIZE(podman);
	}
	if (!given(root, "containers", "cri")) {
		c->cri = cri;
		c->ncri = TIP_ARRAY_SIZE(cri);
	}
	/* Tokens of a short-lived authority are short-lived too. */
	if (!c->jwt_ttl)
		c->jwt_ttl = c->ca_ttl < JWT_TTL ? c->ca_ttl : JWT_TTL;
	if (!given(root, "limits", "handshakes") && c->max_handshakes > c->max_relays)
		c->max_handshakes = c->max_relays;
	/* Nobody has more than half, unless somebody wants it so. */
	if (!c->max_held_per_identity)
		c->max_held_per_identity = (c->max_held_connects + 1) / 2;
	if (!c->max_handshakes_per_identity)
		c->max_handshakes_per_identity = (c->max_handshakes + 1) / 2;
	if (!c->max_relays_per_identity)
		c->max_relays_per_identity = (c->max_relays + 1) / 2;
	if (!c->max_connections_per_identity)
		c->max_connections_per_identity = (c->max_connections + 1) / 2;
}
