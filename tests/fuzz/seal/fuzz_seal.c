/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in state_dir, as somebody else may have written it: a sealed record, a manifest, the
 * blob of a TPM. The first byte says which. A sealed record that opens was made with the key; a
 * manifest that is read is written as the same bytes again, but for the order of its records.
 */
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#include "seal/box.h"
#include "seal/manifest.h"
#include "seal/tpm.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

static void box(const unsigned char *data, size_t size)
{
	static const struct tip_box_label label = {"default", "authority"};
	struct tip_box_key key;
	struct tip_buf out = {0}, again = {0};
	struct tip_error err;
	uint64_t generation;

	CHECK(!tip_box_key(&key, "0123456789abcdef0123456789abcdef", 32, &err));
	if (tip_box_open(&key, &label, data, size, &out, &generation, &err) == 0)
		CHECK(tip_box_is_of(data, size, &key) && out.len + TIP_BOX_OVERHEAD == size);
	else
		CHECK(!out.len);
	/* And what it holds goes in and comes out again. */
	tip_buf_reset(&out);
	CHECK(!tip_box_seal(&key, &label, size, data, size, &out, &err));
	CHECK(!tip_box_open(&key, &label, out.data, out.len, &again, &generation, &err));
	CHECK(again.len == size && generation == size &&
	      (!size || !memcmp(again.data, data, size)));
	tip_box_wipe(&out);
	tip_box_wipe(&again);
}

static void manifest(const unsigned char *data, size_t size)
{
	struct tip_manifest m, n;
	struct tip_buf out = {0};
	struct tip_error err;

	tip_manifest_init(&m);
	tip_manifest_init(&n);
	if (tip_manifest_read(&m, data, size, 100, &err) == 0) {
		tip_manifest_write(&m, &out);
		CHECK(out.len == size);
		CHECK(!tip_manifest_read(&n, out.data, out.len, 100, &err));
		CHECK(tip_map_count(m.records) == tip_map_count(n.records));
		CHECK(m.nfiles == n.nfiles && m.generation == n.generation);
	} else {
		CHECK(!tip_map_count(m.records) && !m.nfiles);
	}
	tip_manifest_clear(&m);
	tip_manifest_clear(&n);
	tip_buf_free(&out);
}

static void blob(const unsigned char *data, size_t size)
{
	struct tip_tpm_blob b;
	struct tip_buf out = {0};
	struct tip_error err;
	TPM2B_PUBLIC public = {0};
	TPM2B_PRIVATE private = {0};
	size_t used = 0;

	if (tip_tpm_blob_read(&b, data, size, &err) < 0)
		return;
	tip_tpm_blob_write(&b, &out);
	CHECK(out.len == size && !memcmp(out.data, data, size));
	tip_buf_free(&out);
	/* As the process does that asks the TPM. */
	(void)Tss2_MU_TPM2B_PUBLIC_Unmarshal(b.public_part, b.public_len, &used, &public);
	used = 0;
	(void)Tss2_MU_TPM2B_PRIVATE_Unmarshal(b.private_part, b.private_len, &used, &private);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	if (!size)
		return 0;
	switch (data[0] % 3) {
	case 0: box(data + 1, size - 1); break;
	case 1: manifest(data + 1, size - 1); break;
	default: blob(data + 1, size - 1); break;
	}
	return 0;
}
