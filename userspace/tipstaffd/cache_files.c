/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <stdlib.h>

#include "base/log.h"

/* The cache as the keeper sees it: records of the front, which it keeps without understanding. */

int tip_cache_open(struct tip_keeper *k, struct tip_error *err)
{
	const struct tip_seal_config c = {
		.mode = k->config->seal,
		.tcti = k->config->seal_tcti,
		.state_dir = k->config->state_dir,
		.credentials = getenv("CREDENTIALS_DIRECTORY"),
	};
	struct tip_vault_stats s;
	struct tip_seal_keys keys;

	if (tip_seal_keys_find(&keys, &c, err) < 0)
		return -1;
	k->vault = tip_vault_open(c.state_dir, k->config->instance, &keys, err);
	if (k->vault)
		tip_seal_keys_settled(&keys, &c);
	tip_seal_keys_wipe(&keys);
	if (!k->vault)
		return -1;
	tip_vault_stats(k->vault, &s);
	if (s.by == TIP_SEAL_BY_NONE)
		tip_warn("seal", "the cache is not sealed: %s", s.why);
	else
		tip_info("seal", "the cache is sealed by %s, %zu records",
			 s.by == TIP_SEAL_BY_TPM ? "the TPM" : "a credential", s.records);
	return 0;
}

void tip_cache_keep(struct tip_keeper *k, const struct tip_link_msg *m)
{
	struct tip_error err;
	char text[1200];

	/* What is beyond a limit is counted, and said once. */
	if (tip_vault_save(k->vault, m->name, m->data, m->data_len, &err) < 0)
		tip_debug("seal", "a record is not kept: %s",
			  tip_error_str(&err, text, sizeof(text)));
}

void tip_cache_drop(struct tip_keeper *k, const struct tip_link_msg *m)
{
	struct tip_error err;
	char text[1200];

	if (tip_vault_forget(k->vault, m->name, &err) < 0)
		tip_warn("seal", "a record is not deleted: %s",
			 tip_error_str(&err, text, sizeof(text)));
}

static void send_record(void *ctx, const char *name, const void *data, size_t len)
{
	tip_front_send(
		ctx, &(struct tip_link_msg){
			     .type = TIP_LINK_RECORD, .name = name, .data = data, .data_len = len});
}

void tip_cache_send(struct tip_keeper *k)
{
	tip_vault_each(k->vault, send_record, k);
}

json_t *tip_cache_status(const struct tip_keeper *k)
{
	struct tip_vault_stats s;

	tip_vault_stats(k->vault, &s);
	return json_pack("{s:s, s:s?, s:I, s:I, s:I, s:I, s:I}", "seal", tip_seal_by_name(s.by),
			 "why", s.by == TIP_SEAL_BY_NONE ? s.why : NULL, "records",
			 (json_int_t)s.records, "bytes", (json_int_t)s.bytes, "bad_records",
			 (json_int_t)s.bad, "refused", (json_int_t)s.refused, "failed",
			 (json_int_t)s.failed);
}
