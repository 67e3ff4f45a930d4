/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proto/workload.pb-c.h"
#include "tipstaff/cert.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"
#include "tipstaff/workload.h"

/* `svid fetch`: a client of the Workload API, which gives it its own identity and no other. */

struct fetch {
	const char *write; /* folder, or NULL */
	bool watch;
	unsigned int seen; /* responses */
	int ret;
};

/* ---- one response ------------------------------------------------------------------------- */

/* The certificates of every member, taken apart once for printing and writing. */
struct svid {
	const X509SVID *raw;
	struct cert_chain chain, bundle;
};

static int svid_parse(const X509SVID *raw, struct svid *out, struct tip_error *err)
{
	memset(out, 0, sizeof(*out));
	out->raw = raw;
	if (cert_chain_parse(raw->x509_svid.data, raw->x509_svid.len, &out->chain, err))
		return -1;
	return cert_chain_parse(raw->bundle.data, raw->bundle.len, &out->bundle, err);
}

static void svid_free(struct svid *s)
{
	cert_chain_free(&s->chain);
	cert_chain_free(&s->bundle);
}

static int svid_write(const char *dir, size_t n, const struct svid *s, struct tip_error *err)
{
	char *paths[] = {
		tip_sprintf("%s/svid.%zu.pem", dir, n),
		tip_sprintf("%s/svid.%zu.key", dir, n),
		tip_sprintf("%s/bundle.%zu.pem", dir, n),
	};
	int ret = -1;

	/* The key first: whoever waits for the certificate finds both. */
	if (cert_key_write(paths[1], s->raw->x509_svid_key.data, s->raw->x509_svid_key.len, err) ||
	    cert_chain_write(paths[0], &s->chain, err) ||
	    cert_chain_write(paths[2], &s->bundle, err))
		goto out;
	if (!cli.json)
		for (size_t i = 0; i < TIP_ARRAY_SIZE(paths); i++)
			out_field(8, i ? "" : "written", "%s", paths[i]);
	ret = 0;
out:
	for (size_t i = 0; i < TIP_ARRAY_SIZE(paths); i++)
		free(paths[i]);
	return ret;
}

/* federated_bundle.SVID.N.pem, as `spire-agent api fetch x509 -write` names them. */
static int federated_write(const char *dir, const X509SVIDResponse *r, struct tip_error *err)
{
	for (size_t i = 0; i < r->n_svids; i++) {
		for (size_t k = 0; k < r->n_federated_bundles; k++) {
			const ProtobufCBinaryData *der = &r->federated_bundles[k]->value;
			struct cert_chain chain = {0};
			char *path = tip_sprintf("%s/federated_bundle.%zu.%zu.pem", dir, i, k);
			int ret = cert_chain_parse(der->data, der->len, &chain, err);

			if (!ret)
				ret = cert_chain_write(path, &chain, err);
			cert_chain_free(&chain);
			free(path);
			if (ret)
				return -1;
		}
	}
	return 0;
}

static void svid_text(const struct svid *s)
{
	struct cert_info leaf;
	char left[32];
	int64_t now = (int64_t)(tip_clock_real() / TIP_NSEC_PER_SEC);

	cert_info(&s->chain, 0, &leaf);
	out_print("%s", out_on(stdout, OUT_BOLD));
	out_puts_safe(s->raw->spiffe_id);
	out_print("%s\n", out_off(stdout));
	if (*s->raw->hint)
		out_field(8, "hint", "%s", s->raw->hint);
	out_field(8, "serial", "%s", leaf.serial);
	out_field(8, "key", "%s", leaf.key);
	out_field(8, "from", "%s", leaf.not_before_text);
	if (leaf.not_after > now)
		out_field(8, "until", "%s (%s left)", leaf.not_after_text,
			  out_duration((uint64_t)(leaf.not_after - now), left, sizeof(left)));
	else
		out_field(8, "until", "%s (over)", leaf.not_after_text);
	out_field(8, "chain", "%zu certificate%s, bundle of %zu", s->chain.count,
		  s->chain.count == 1 ? "" : "s", s->bundle.count);
}

static json_t *svid_json(const struct svid *s)
{
	struct cert_info leaf;
	char *chain = cert_chain_pem(&s->chain), *bundle = cert_chain_pem(&s->bundle);
	json_t *doc;

	/* No key: JSON ends up in logs. --write is for keys. */
	cert_info(&s->chain, 0, &leaf);
	doc = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "spiffe_id", s->raw->spiffe_id,
			"hint", s->raw->hint, "serial", leaf.serial, "key_type", leaf.key,
			"not_before", leaf.not_before_text, "not_after", leaf.not_after_text,
			"x509_svid", chain, "bundle", bundle);
	free(chain);
	free(bundle);
	return doc;
}

static int show_one(const struct fetch *f, size_t n, const X509SVID *raw, json_t *list,
		    struct tip_error *err)
{
	struct svid s;
	int ret = svid_parse(raw, &s, err);

	if (!ret && cli.json) {
		ret = json_array_append_new(list, svid_json(&s));
		if (ret)
			tip_error_set(err, "the SVID cannot be written as JSON");
	} else if (!ret) {
		out_print("%s", n > 0 ? "\n" : "");
		svid_text(&s);
	}
	if (!ret && f->write)
		ret = svid_write(f->write, n, &s, err);
	svid_free(&s);
	return ret;
}

static int show(struct fetch *f, const X509SVIDResponse *r, struct tip_error *err)
{
	json_t *list = json_array(), *doc;
	int ret = 0;

	if (f->seen++ > 0 && !cli.json)
		out_print("\n");
	for (size_t i = 0; i < r->n_svids && !ret; i++)
		ret = show_one(f, i, r->svids[i], list, err);
	if (!ret && f->write)
		ret = federated_write(f->write, r, err);
	if (!ret && cli.json) {
		doc = json_pack("{s:O}", "svids", list);
		if (f->watch)
			out_json_line(doc);
		else
			out_json(doc);
		json_decref(doc);
	}
	json_decref(list);
	return ret;
}

static bool on_message(void *ctx, const uint8_t *msg, size_t len)
{
	struct fetch *f = ctx;
	X509SVIDResponse *r = x509_svidresponse__unpack(NULL, len, msg);
	struct tip_error err = {0};

	if (!r) {
		f->ret = cli_fail(NULL, "the answer of the Workload API is not what it should be");
		return false;
	}
	if (show(f, r, &err))
		f->ret = cli_fail_error(&err, NULL);
	x509_svidresponse__free_unpacked(r, NULL);
	return f->ret == CLI_OK && f->watch && out_end();
}

static int do_fetch(const struct cli_args *args)
{
	struct fetch f = {
		.write = cli_value(args, "write", NULL),
		.watch = cli_given(args, "watch"),
	};
	struct workload_call call = {
		.method = "FetchX509SVID",
		.message = on_message,
		.ctx = &f,
	};
	int ret = workload_timeout(args, &call.timeout_ms);

	if (ret)
		return ret;
	if (f.watch)
		call.timeout_ms = -1;
	if (f.write && access(f.write, W_OK | X_OK))
		return cli_fail("make the folder first", "%s: %s", f.write, strerror(errno));
	ret = workload_call(&call);
	if (ret || f.ret != CLI_OK)
		return f.ret != CLI_OK ? f.ret : ret;
	if (f.seen == 0)
		return cli_fail(NULL, "the Workload API ended the call without an SVID");
	return CLI_OK;
}

static const struct cli_option fetch_options[] = {
	{"write", 'w', "DIR", "write svid.N.pem, svid.N.key (0600) and bundle.N.pem there",
	 CLI_COMPLETE_DIR},
	{"watch", 0, NULL, "stay, and do it again at every renewal", CLI_COMPLETE_NONE},
	{"timeout", 0, "DURATION", "give up after this long (5s); not with --watch",
	 CLI_COMPLETE_NONE},
	{.name = NULL},
};

static const struct cli_command cmd_fetch = {
	.name = "fetch",
	.help = "your own X.509-SVIDs, over the Workload API",
	.more = "The identity is that of this very process: its uid, its cgroup, and the path of "
		"the\n"
		"tipstaff binary. Root is not needed. Keys are never printed, only written.",
	.options = fetch_options,
	.run = do_fetch,
};

static const struct cli_command *const subs[] = {&cmd_fetch, &cmd_svid_fetch_jwt,
						 &cmd_svid_validate_jwt, NULL};

const struct cli_command cmd_svid = {
	.name = "svid",
	.help = "SPIFFE verifiable identity documents",
	.subs = subs,
};
