/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/wire.h"

/* RFC 8446 section 5.1 and 4. */
#define TYPE_ALERT        21
#define TYPE_HANDSHAKE    22
#define VERSION_MAJOR     3
#define VERSION_MINOR_MAX 4
#define MESSAGE_HELLO_C   1
#define MESSAGE_HELLO_S   2
#define RECORD_MAX        (16384 + 256)

/* The record header: type, version, length; then the type of the first message inside. */
static enum tip_sniff sniff(const uint8_t *data, size_t len, uint8_t message, bool alerts)
{
	bool alert = false;

	if (len >= 1) {
		alert = alerts && data[0] == TYPE_ALERT;
		if (data[0] != TYPE_HANDSHAKE && !alert)
			return TIP_SNIFF_OTHER;
	}
	if (len >= 2 && data[1] != VERSION_MAJOR)
		return TIP_SNIFF_OTHER;
	if (len >= 3 && data[2] > VERSION_MINOR_MAX)
		return TIP_SNIFF_OTHER;
	if (len >= 5) {
		size_t record = (size_t)data[3] << 8 | data[4];

		if (!record || record > RECORD_MAX)
			return TIP_SNIFF_OTHER;
	}
	if (len < TIP_SNIFF_MAX)
		return TIP_SNIFF_MORE;
	if (!alert && data[5] != message)
		return TIP_SNIFF_OTHER;
	return TIP_SNIFF_TLS;
}

enum tip_sniff tip_sniff_client(const uint8_t *data, size_t len)
{
	return sniff(data, len, MESSAGE_HELLO_C, false);
}

enum tip_sniff tip_sniff_server(const uint8_t *data, size_t len)
{
	return sniff(data, len, MESSAGE_HELLO_S, true);
}

void tip_verdict_encode(enum tip_verdict verdict, uint16_t reason, uint8_t out[TIP_VERDICT_LEN])
{
	out[0] = TIP_VERDICT_VERSION;
	out[1] = (uint8_t)verdict;
	out[2] = (uint8_t)(reason >> 8);
	out[3] = (uint8_t)reason;
}

int tip_verdict_decode(const uint8_t *data, size_t len, enum tip_verdict *verdict, uint16_t *reason)
{
	if (len != TIP_VERDICT_LEN || data[0] != TIP_VERDICT_VERSION)
		return -1;
	if (data[1] < TIP_VERDICT_OK || data[1] > TIP_VERDICT_QUARANTINED)
		return -1;
	*verdict = (enum tip_verdict)data[1];
	*reason = (uint16_t)(data[2] << 8 | data[3]);
	return 0;
}
