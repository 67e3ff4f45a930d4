/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/vault_impl.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/file.h"

static int digest_of(const void *data, size_t len, uint8_t out[TIP_MANIFEST_DIGEST],
		     struct tip_error *err)
{
	if (EVP_Digest(len ? data : "", len, out, NULL, EVP_sha256(), NULL) != 1)
		return tip_error_set(err, "OpenSSL has no SHA-256");
	return 0;
}

int tip_vault_write_file(struct tip_vault *v, const char *name, const char *path, const void *data,
			 size_t len, struct tip_error *err)
{
	struct tip_manifest_file *f, before;
	int ret;

	if (!tip_vault_key(v))
		return tip_file_write(path, data, len, 0600, err);
	f = tip_manifest_file(&v->manifest, name, true);
	if (!f)
		return tip_error_set(err, "the cache's manifest has no room for another file");
	before = *f;
	if (before.ndigests)
		memcpy(f->digests[1], before.digests[0], TIP_MANIFEST_DIGEST);
	f->ndigests = before.ndigests ? 2 : 1;
	ret = digest_of(data, len, f->digests[0], err);
	if (ret == 0)
		ret = tip_vault_write_manifest(v, err);
	if (ret == 0)
		ret = tip_file_write(path, data, len, 0600, err);
	/* One of the two is enough from now on; the next flush says so. */
	if (ret == 0)
		f->ndigests = 1;
	else if (before.ndigests)
		*f = before;
	else
		v->manifest.nfiles--;
	v->dirty = true;
	return ret;
}

int tip_vault_check_file(struct tip_vault *v, const char *name, const void *data, size_t len,
			 struct tip_error *err)
{
	uint8_t digest[TIP_MANIFEST_DIGEST];
	struct tip_manifest_file *f;

	if (!tip_vault_key(v))
		return 0;
	if (digest_of(data, len, digest, err) < 0)
		return -1;
	f = tip_manifest_file(&v->manifest, name, true);
	if (!f)
		return tip_error_set(err, "the cache's manifest has no room for another file");
	if (!f->ndigests) {
		memcpy(f->digests[0], digest, sizeof(digest));
		f->ndigests = 1;
		v->dirty = true;
		return 0;
	}
	for (size_t i = 0; i < f->ndigests; i++)
		if (!memcmp(digest, f->digests[i], sizeof(digest)))
			return 0;
	return tip_error_set(err,
			     "was changed by somebody else. Put back what it was; or look at what "
			     "it holds, and if that is right remove %s and start again",
			     v->manifest_path);
}
