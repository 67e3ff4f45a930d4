/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/tpm.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

/* What one piece of work holds in the TPM. */
struct work {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR primary, session, object;
};

/* The storage key that TCG's provisioning guidance names: the same seed makes the same key. */
static const TPM2B_PUBLIC primary_template = {
	.publicArea =
		{
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
					    TPMA_OBJECT_SENSITIVEDATAORIGIN |
					    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
					    TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
			.parameters.eccDetail =
				{
					.symmetric = {.algorithm = TPM2_ALG_AES,
						      .keyBits.aes = 128,
						      .mode.aes = TPM2_ALG_CFB},
					.scheme.scheme = TPM2_ALG_NULL,
					.curveID = TPM2_ECC_NIST_P256,
					.kdf.scheme = TPM2_ALG_NULL,
				},
		},
};

static const TPM2B_PUBLIC object_template = {
	.publicArea =
		{
			.type = TPM2_ALG_KEYEDHASH,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
					    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
			.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
		},
};

static int failed(struct tip_error *err, const char *what, TSS2_RC rc)
{
	return tip_error_set(err, "%s: %s", what, Tss2_RC_Decode(rc));
}

/*
 * Debian's /dev/tpmrm0 belongs to the user tss, and root without CAP_DAC_OVERRIDE, which the
 * service does not have, may not open it: so we become that user, and need nothing of root for the
 * rest.
 */
static int become_owner(const char *tcti, struct tip_error *err)
{
	static const char device[] = "device:";
	struct stat st;

	if (strncmp(tcti, device, strlen(device)) != 0 || stat(tcti + strlen(device), &st) < 0 ||
	    !st.st_uid)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) < 0)
		return tip_error_set(err, "cannot become uid %u, which owns %s: %s",
				     (unsigned int)st.st_uid, tcti + strlen(device),
				     strerror(errno));
	return 0;
}

static int begin(struct work *w, const char *tcti, struct tip_error *err)
{
	const TPM2B_SENSITIVE_CREATE no_auth = {0};
	const TPM2B_DATA no_data = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	const TPMT_SYM_DEF aes = {
		.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};
	TSS2_RC rc;

	rc = Tss2_TctiLdr_Initialize(tcti, &w->tcti);
	if (rc)
		return failed(err, "the TPM cannot be reached", rc);
	rc = Esys_Initialize(&w->esys, w->tcti, NULL);
	if (rc)
		return failed(err, "the TPM cannot be used", rc);
	rc = Esys_CreatePrimary(w->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
				ESYS_TR_NONE, &no_auth, &primary_template, &no_data, &no_pcrs,
				&w->primary, NULL, NULL, NULL, NULL);
	if (rc)
		return failed(err, "no primary key (is the owner hierarchy without a password?)",
			      rc);
	/* Salted with that key, so that the secret does not pass over the bus in clear. */
	rc = Esys_StartAuthSession(w->esys, w->primary, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
				   ESYS_TR_NONE, NULL, TPM2_SE_HMAC, &aes, TPM2_ALG_SHA256,
				   &w->session);
	return rc ? failed(err, "no session", rc) : 0;
}

static void end(struct work *w)
{
	const ESYS_TR held[] = {w->object, w->session, w->primary};

	for (size_t i = 0; w->esys && i < sizeof(held) / sizeof(held[0]); i++)
		if (held[i] != ESYS_TR_NONE)
			Esys_FlushContext(w->esys, held[i]);
	Esys_Finalize(&w->esys);
	Tss2_TctiLdr_Finalize(&w->tcti);
}

static int protect(struct work *w, TPMA_SESSION direction, struct tip_error *err)
{
	TSS2_RC rc = Esys_TRSess_SetAttributes(w->esys, w->session,
					       direction | TPMA_SESSION_CONTINUESESSION, 0xff);

	return rc ? failed(err, "no encrypted session", rc) : 0;
}

static int write_blob(const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private,
		      struct tip_buf *blob, struct tip_error *err)
{
	uint8_t pub[sizeof(*public)], priv[sizeof(*private)];
	size_t pub_len = 0, priv_len = 0;
	struct tip_tpm_blob b = {.public_part = pub, .private_part = priv};
	TSS2_RC rc;

	rc = Tss2_MU_TPM2B_PUBLIC_Marshal(public, pub, sizeof(pub), &pub_len);
	if (!rc)
		rc = Tss2_MU_TPM2B_PRIVATE_Marshal(private, priv, sizeof(priv), &priv_len);
	if (rc)
		return failed(err, "what the TPM made cannot be written", rc);
	b.public_len = pub_len;
	b.private_len = priv_len;
	tip_tpm_blob_write(&b, blob);
	return 0;
}

static int make(struct work *w, struct tip_buf *blob, uint8_t secret[TIP_TPM_SECRET],
		struct tip_error *err)
{
	TPM2B_SENSITIVE_CREATE in = {.sensitive.data.size = TIP_TPM_SECRET};
	const TPM2B_DATA no_data = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	TPM2B_PRIVATE *private = NULL;
	TPM2B_PUBLIC *public = NULL;
	TSS2_RC rc;
	int ret = -1;

	if (RAND_priv_bytes(secret, TIP_TPM_SECRET) != 1)
		return tip_error_set(err, "OpenSSL has no random numbers");
	if (protect(w, TPMA_SESSION_DECRYPT, err) < 0)
		return -1;
	memcpy(in.sensitive.data.buffer, secret, TIP_TPM_SECRET);
	rc = Esys_Create(w->esys, w->primary, w->session, ESYS_TR_NONE, ESYS_TR_NONE, &in,
			 &object_template, &no_data, &no_pcrs, &private, &public, NULL, NULL, NULL);
	OPENSSL_cleanse(&in, sizeof(in));
	if (rc)
		failed(err, "the key cannot be sealed", rc);
	else
		ret = write_blob(public, private, blob, err);
	Esys_Free(private);
	Esys_Free(public);
	return ret;
}

static int read_parts(const struct tip_buf *blob, TPM2B_PUBLIC *public, TPM2B_PRIVATE *private,
		      struct tip_error *err)
{
	size_t pub_used = 0, priv_used = 0;
	struct tip_tpm_blob b;

	if (tip_tpm_blob_read(&b, blob->data, blob->len, err) < 0)
		return -1;
	if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(b.public_part, b.public_len, &pub_used, public) ||
	    Tss2_MU_TPM2B_PRIVATE_Unmarshal(b.private_part, b.private_len, &priv_used, private) ||
	    pub_used != b.public_len || priv_used != b.private_len)
		return tip_error_set(err, "is damaged");
	return 0;
}

static int unseal(struct work *w, const struct tip_buf *blob, uint8_t secret[TIP_TPM_SECRET],
		  struct tip_error *err)
{
	TPM2B_PUBLIC public = {0};
	TPM2B_PRIVATE private = {0};
	TPM2B_SENSITIVE_DATA *data = NULL;
	TSS2_RC rc;
	int ret = 0;

	if (read_parts(blob, &public, &private, err) < 0)
		return -1;
	rc = Esys_Load(w->esys, w->primary, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &private,
		       &public, &w->object);
	if (rc)
		return failed(err, "was not made by this TPM, or before it was cleared", rc);
	if (protect(w, TPMA_SESSION_ENCRYPT, err) < 0)
		return -1;
	rc = Esys_Unseal(w->esys, w->object, w->session, ESYS_TR_NONE, ESYS_TR_NONE, &data);
	if (rc)
		return failed(err, "the TPM does not open it", rc);
	if (data->size != TIP_TPM_SECRET)
		ret = tip_error_set(err, "holds something else than a key");
	else
		memcpy(secret, data->buffer, TIP_TPM_SECRET);
	OPENSSL_cleanse(data, sizeof(*data));
	Esys_Free(data);
	return ret;
}

/* ---- the process ------------------------------------------------------------------------- */

static int read_blob(struct tip_buf *blob, struct tip_error *err)
{
	ssize_t n;

	tip_buf_reserve(blob, TIP_TPM_BLOB_MAX + 1);
	while ((n = read(STDIN_FILENO, blob->data + blob->len, TIP_TPM_BLOB_MAX + 1 - blob->len)) >
	       0)
		blob->len += (size_t)n;
	if (n < 0)
		return tip_error_set(err, "standard input: %s", strerror(errno));
	if (blob->len > TIP_TPM_BLOB_MAX)
		return tip_error_set(err, "is too large");
	return 0;
}

static int say(const void *data, size_t len)
{
	return write(STDOUT_FILENO, data, len) == (ssize_t)len ? 0 : -1;
}

/*
 * `--tpm TCTI`: the blob on standard input, nothing for a new one. On standard output "K", the
 * secret and the blob, or "E" and what went wrong. A pipe takes both at once.
 */
int tip_tpm_main(int argc, char **argv)
{
	struct work w = {.primary = ESYS_TR_NONE, .session = ESYS_TR_NONE, .object = ESYS_TR_NONE};
	uint8_t secret[TIP_TPM_SECRET];
	struct tip_buf blob = {0};
	struct tip_error err;
	int ret = -1;

	if (argc != 2) {
		fprintf(stderr, "tipstaffd: --tpm is for the keeper's use only\n");
		return 2;
	}
	/* A change of uid resets both. */
	if (become_owner(argv[1], &err) < 0)
		goto out;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		return 1;
	if (read_blob(&blob, &err) == 0 && begin(&w, argv[1], &err) == 0)
		ret = blob.len ? unseal(&w, &blob, secret, &err) : make(&w, &blob, secret, &err);
	end(&w);
out:
	if (ret < 0) {
		say("E", 1);
		say(err.text, strlen(err.text));
	} else {
		ret = say("K", 1) < 0 || say(secret, sizeof(secret)) < 0 ||
				      say(blob.data, blob.len) < 0
			      ? -1
			      : 0;
	}
	OPENSSL_cleanse(secret, sizeof(secret));
	tip_buf_free(&blob);
	return ret < 0;
}
