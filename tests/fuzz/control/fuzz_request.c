/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One request line, as the server reads it. Whatever comes, either it is whole or the error says
 * why. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_control_request r;
	struct tip_error err = {0};
	struct tip_buf out = {0};

	if (tip_control_request_parse((const char *)data, size, &r, &err)) {
		if (r.root || !*err.text)
			abort();
		tip_control_write_error(&out, &err, NULL);
	} else {
		if (!r.version || !r.method || !json_is_object(r.params))
			abort();
		tip_control_write_result(&out, r.params);
		tip_control_request_free(&r);
	}
	/* An answer is one line, whatever it quotes. */
	if (out.len < 2 || memchr(out.data, '\n', out.len) != out.data + out.len - 1)
		abort();
	tip_buf_free(&out);
	return 0;
}
