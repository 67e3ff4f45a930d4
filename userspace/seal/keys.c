/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "seal/tpm.h"

#define CREDENTIAL_MAX 4096
#define TPM_DEVICE     "/dev/tpmrm0"
#define TPM_TCTI       "device:" TPM_DEVICE

static bool is_there(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 || errno != ENOENT;
}

static int add_key(struct tip_seal_keys *keys, const void *secret, size_t len,
		   struct tip_error *err)
{
	if (tip_box_key(&keys->keys[keys->count], secret, len, err) < 0)
		return -1;
	keys->count++;
	return 0;
}

/* ---- credentials ------------------------------------------------------------------------- */

/* 1: taken, 0: there is none, -1 with `err`: there is one that is no key. */
static int add_credential(struct tip_seal_keys *keys, const struct tip_seal_config *c,
			  const char *name, struct tip_error *err)
{
	struct tip_buf b = {0};
	struct tip_error why;
	char *path;
	int ret = -1;

	if (!c->credentials)
		return 0;
	path = tip_sprintf("%s/%s", c->credentials, name);
	if (!is_there(path)) {
		ret = 0;
		goto out;
	}
	/* All of it at once: a buffer that moves leaves a key behind. */
	tip_buf_reserve(&b, 4 * CREDENTIAL_MAX + 1);
	if (tip_file_read(path, CREDENTIAL_MAX, &b, err) < 0)
		goto out;
	if (add_key(keys, b.data, b.len, &why) < 0)
		tip_error_at(err, path, 0, 0,
			     "%s; make it with `head -c 32 /dev/urandom | systemd-creds encrypt`",
			     why.text);
	else
		ret = 1;
out:
	tip_box_wipe(&b);
	free(path);
	return ret;
}

/* ---- the TPM ----------------------------------------------------------------------------- */

static char *blob_path(const struct tip_seal_config *c)
{
	return tip_sprintf("%s/cache.tpm", c->state_dir);
}

static bool tpm_is_there(const struct tip_seal_config *c)
{
	return *c->tcti || is_there(TPM_DEVICE);
}

/* The key that the TPM opens, or a new one, whose blob is kept. `path`: of the blob. */
static int add_tpm(struct tip_seal_keys *keys, const struct tip_seal_config *c, const char *path,
		   struct tip_error *err)
{
	uint8_t secret[TIP_TPM_SECRET] = {0};
	struct tip_buf blob = {0};
	struct tip_error why;
	bool had = is_there(path);
	int ret = -1;

	if (had && tip_file_read(path, TIP_TPM_BLOB_MAX, &blob, err) < 0)
		goto out;
	if (had && !blob.len) {
		tip_error_at(err, path, 0, 0, "is empty");
		goto out;
	}
	if (tip_tpm_ask(*c->tcti ? c->tcti : TPM_TCTI, &blob, secret, &why) < 0) {
		tip_error_at(err, had ? path : NULL, 0, 0, "%s", why.text);
		goto out;
	}
	if (!had && tip_file_write(path, blob.data, blob.len, 0600, err) < 0)
		goto out;
	ret = add_key(keys, secret, sizeof(secret), err);
out:
	OPENSSL_cleanse(secret, sizeof(secret));
	tip_buf_free(&blob);
	return ret;
}

/* ---- the choice -------------------------------------------------------------------------- */

/* A credential seals if there is one and nothing else is asked for. */
static int try_credentials(struct tip_seal_keys *keys, const struct tip_seal_config *c,
			   struct tip_error *err)
{
	int have = add_credential(keys, c, TIP_SEAL_CREDENTIAL_NAME, err);

	if (have < 0)
		return -1;
	if (have && (c->mode == TIP_SEAL_AUTO || c->mode == TIP_SEAL_CREDENTIAL))
		keys->by = TIP_SEAL_BY_CREDENTIAL;
	if (!have && c->mode == TIP_SEAL_CREDENTIAL)
		return tip_error_set(
			err,
			"cache.seal: credential is demanded, and there is no credential %s%s. Put "
			"it into /etc/credstore.encrypted and load it with "
			"LoadCredentialEncrypted=" TIP_SEAL_CREDENTIAL_NAME,
			TIP_SEAL_CREDENTIAL_NAME,
			c->credentials ? "" : " ($CREDENTIALS_DIRECTORY is not set)");
	return add_credential(keys, c, TIP_SEAL_OLD_CREDENTIAL_NAME, err) < 0 ? -1 : 0;
}

/* The TPM seals: its key comes first. */
static void tpm_first(struct tip_seal_keys *keys)
{
	struct tip_box_key last = keys->keys[keys->count - 1];

	memmove(&keys->keys[1], &keys->keys[0], (keys->count - 1) * sizeof(last));
	keys->keys[0] = last;
	keys->by = TIP_SEAL_BY_TPM;
	OPENSSL_cleanse(&last, sizeof(last));
}

static int try_tpm(struct tip_seal_keys *keys, const struct tip_seal_config *c,
		   struct tip_error *err)
{
	char *path = blob_path(c);
	bool had = is_there(path), demanded = c->mode == TIP_SEAL_TPM;
	bool wanted = demanded || (c->mode == TIP_SEAL_AUTO && keys->by == TIP_SEAL_BY_NONE);
	struct tip_error why;
	int ret = -1;

	if (demanded && !tpm_is_there(c)) {
		tip_error_set(err, "cache.seal: tpm is demanded, and there is no " TPM_DEVICE);
		goto out;
	}
	if (!had && !(wanted && tpm_is_there(c))) {
		ret = 0;
		goto out;
	}
	if (add_tpm(keys, c, path, &why) == 0) {
		if (wanted)
			tpm_first(keys);
		ret = 0;
	} else if (demanded || (wanted && had)) {
		tip_error_at(err, why.file, 0, 0,
			     "%s. Without its key the cache cannot be opened; if that is lost, "
			     "remove cache, cache.manifest and cache.tpm below %s: a new authority "
			     "is made then",
			     why.text, c->state_dir);
	} else if (had) {
		/* It only opens what another key has not sealed anew yet; the vault will tell. */
		tip_warn("seal", "the key of the TPM is not to be had: %s", why.text);
		ret = 0;
	} else {
		snprintf(keys->why, sizeof(keys->why), "the TPM cannot be used: %s", why.text);
		ret = 0;
	}
out:
	free(path);
	return ret;
}

int tip_seal_keys_find(struct tip_seal_keys *keys, const struct tip_seal_config *c,
		       struct tip_error *err)
{
	*keys = (struct tip_seal_keys){.by = TIP_SEAL_BY_NONE};
	if (try_credentials(keys, c, err) < 0 || try_tpm(keys, c, err) < 0) {
		tip_seal_keys_wipe(keys);
		return -1;
	}
	if (keys->by == TIP_SEAL_BY_NONE && !*keys->why)
		snprintf(keys->why, sizeof(keys->why), "%s",
			 c->mode == TIP_SEAL_NONE
				 ? "cache.seal: none in the configuration"
				 : "there is neither a credential " TIP_SEAL_CREDENTIAL_NAME
				   " nor a TPM 2.0");
	return 0;
}

void tip_seal_keys_settled(const struct tip_seal_keys *keys, const struct tip_seal_config *c)
{
	char *path = blob_path(c);

	if (keys->by != TIP_SEAL_BY_TPM && unlink(path) < 0 && errno != ENOENT)
		tip_warn("seal", "%s: %s", path, strerror(errno));
	free(path);
}

void tip_seal_keys_wipe(struct tip_seal_keys *keys)
{
	OPENSSL_cleanse(keys, sizeof(*keys));
}

const char *tip_seal_by_name(enum tip_seal_by by)
{
	static const char *const names[] = {
		[TIP_SEAL_BY_NONE] = "none",
		[TIP_SEAL_BY_CREDENTIAL] = "credential",
		[TIP_SEAL_BY_TPM] = "tpm",
	};

	return names[by];
}
