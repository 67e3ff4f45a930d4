/* SPDX-License-Identifier: Apache-2.0 */
/* Any message of a daemon that gives its descriptors away: not one, the last one, or a name that
 * can be a file's. */
#include <stdlib.h>
#include <string.h>

#include "tipstaffd/fdstore.h"

#define MESSAGE 256 /* what the inbox takes of one */

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char text[MESSAGE], name[64], small[16];
	int what, short_of_room;

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	what = tip_fdstore_parse(text, name, sizeof(name));
	short_of_room = tip_fdstore_parse(text, small, sizeof(small));
	if (what < -1 || what > 1)
		abort();
	if (what == 1 && (!name[0] || strpbrk(name, "/.\n") || !strstr(text, name)))
		abort();
	if (short_of_room == 1 && (what != 1 || strcmp(small, name) != 0))
		abort();
	return 0;
}
