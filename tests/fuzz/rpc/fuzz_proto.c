/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "proto/struct.pb-c.h"
#include "proto/workload.pb-c.h"

/*
 * protobuf-c on every message of ours: what unpacks can be packed into the size that it says. (The
 * result need not unpack again: 1.4 takes a tag of two bytes for an unknown field 0 and writes it
 * in one.)
 */
static void one(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t size)
{
	ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, size, data), *again;
	uint8_t *packed;
	size_t len;

	if (!m)
		return;
	len = protobuf_c_message_get_packed_size(m);
	packed = malloc(len + 1);
	if (!packed || protobuf_c_message_pack(m, packed) != len)
		abort();
	again = protobuf_c_message_unpack(d, NULL, len, packed);
	if (again)
		protobuf_c_message_free_unpacked(again, NULL);
	protobuf_c_message_free_unpacked(m, NULL);
	free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The server takes no longer request than this (spiffe/stream.c). */
	if (size > 12 << 10)
		return 0;
	one(&x509_svidrequest__descriptor, data, size);
	one(&x509_svidresponse__descriptor, data, size);
	one(&x509_bundles_request__descriptor, data, size);
	one(&x509_bundles_response__descriptor, data, size);
	one(&jwtsvidrequest__descriptor, data, size);
	one(&jwtsvidresponse__descriptor, data, size);
	one(&jwtbundles_request__descriptor, data, size);
	one(&jwtbundles_response__descriptor, data, size);
	one(&validate_jwtsvidrequest__descriptor, data, size);
	one(&validate_jwtsvidresponse__descriptor, data, size);
	one(&pb_struct__descriptor, data, size);
	one(&pb_value__descriptor, data, size);
	one(&pb_list__descriptor, data, size);
	return 0;
}
