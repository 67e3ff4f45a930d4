/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/backend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "mtls/internal.h"
#include "mtls/socket.h"

/* What the backends share. */

const struct tip_records tip_records_user = {.rekey = TIP_RECORDS_REKEY,
					     .budget = TIP_RECORDS_BUDGET};

enum tip_mtls_cause tip_open_cause(enum tip_mtls_cause cause)
{
	switch (cause) {
	case TIP_MTLS_CLOSED: return TIP_MTLS_TRUNCATED;
	case TIP_MTLS_PROTOCOL:
	case TIP_MTLS_PLAINTEXT:
	case TIP_MTLS_TLS_VERSION: return TIP_MTLS_BAD_RECORD;
	default: return cause;
	}
}

enum tip_mtls_cause tip_errno_cause(int error)
{
	switch (error) {
	case ETIMEDOUT: return TIP_MTLS_TIMEOUT;
	/* The kernel's TLS: a tag, a length or a header that is wrong. */
	case EBADMSG:
	case EMSGSIZE:
	case EINVAL: return TIP_MTLS_BAD_RECORD;
	default: return TIP_MTLS_RESET;
	}
}

int tip_look_result(struct tip_backend *b, ssize_t n)
{
	int error = 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		error = errno;
	else if (n > 0)
		/* Data hides a reset from recv(). */
		error = tip_leg_error(b->fd);
	if (n && !error)
		return 0;
	b->cause = n ? tip_errno_cause(error) : TIP_MTLS_TRUNCATED;
	(void)snprintf(b->text, sizeof(b->text), "%s", n ? strerror(error) : "");
	return TIP_IO_FAILED;
}
