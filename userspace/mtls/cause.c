/* SPDX-License-Identifier: Apache-2.0 */
#include "mtls/cause.h"

#include "base/mem.h"

static const struct {
	const char *name, *text;
} causes[] = {
	[TIP_MTLS_NONE] = {"none", "nothing is wrong"},
	[TIP_MTLS_TIMEOUT] = {"timeout", "the peer did not answer in time"},
	[TIP_MTLS_CLOSED] = {"closed", "the peer closed the connection during the handshake"},
	[TIP_MTLS_RESET] = {"reset", "the peer reset the connection"},
	[TIP_MTLS_PLAINTEXT] = {"plaintext", "the peer does not speak TLS"},
	[TIP_MTLS_TLS_VERSION] = {"tls-version", "the peer does not speak TLS 1.3"},
	[TIP_MTLS_NO_COMMON] = {"no-common", "no cipher suite, group or signature in common"},
	[TIP_MTLS_PROTOCOL] = {"protocol", "the peer broke the rules of TLS"},
	[TIP_MTLS_PEER_ALERT] = {"peer-alert", "the peer ended the handshake with an alert"},
	[TIP_MTLS_NO_CERTIFICATE] = {"no-certificate", "the peer has shown no certificate"},
	[TIP_MTLS_CHAIN_LENGTH] = {"chain-length", "the peer's certificate chain is too long"},
	[TIP_MTLS_NO_URI] = {"no-uri", "the peer's certificate names no URI"},
	[TIP_MTLS_SEVERAL_URIS] = {"several-uris", "the peer's certificate names several URIs"},
	[TIP_MTLS_BAD_ID] = {"bad-id", "the peer's certificate names no valid SPIFFE ID"},
	[TIP_MTLS_LEAF_IS_CA] = {"leaf-is-ca", "the peer's certificate is that of an authority"},
	[TIP_MTLS_LEAF_USAGE] = {"leaf-usage", "the peer's certificate is not for signatures, or "
					       "also for signing certificates"},
	[TIP_MTLS_TRUST_DOMAIN] = {"trust-domain", "there is no bundle of the peer's trust domain"},
	[TIP_MTLS_EXPIRED] = {"expired", "the peer's certificate chain has expired"},
	[TIP_MTLS_NOT_YET_VALID] = {"not-yet-valid", "the peer's certificate is not yet valid"},
	[TIP_MTLS_UNTRUSTED] = {"untrusted", "the peer's certificate does not lead to an authority "
					     "of its trust domain"},
	[TIP_MTLS_NOT_PINNED] = {"not-pinned", "the peer is not the one that was expected"},
	[TIP_MTLS_DENIED] = {"denied", "policy does not let this client in"},
	[TIP_MTLS_QUARANTINED] = {"quarantined", "one of the two ends is quarantined"},
	[TIP_MTLS_REFUSED] = {"refused", "the application refused the connection"},
	[TIP_MTLS_UNREACHABLE] = {"unreachable", "the application could not be reached"},
	[TIP_MTLS_BAD_VERDICT] = {"bad-verdict", "the server's verdict cannot be understood"},
	[TIP_MTLS_CLEAN] = {"clean", "both sides have said all they had to say"},
	[TIP_MTLS_APP_RESET] = {"app-reset", "the application reset the connection"},
	[TIP_MTLS_TRUNCATED] = {"truncated", "the peer's data ended without a close_notify"},
	[TIP_MTLS_BAD_RECORD] = {"bad-record", "the peer sent a record that is not its own"},
	[TIP_MTLS_ABORTED] = {"aborted", "the connection was cut on this side"},
	[TIP_MTLS_KEY_UPDATE] = {"key-update",
				 "the peer has changed its key, which the kernel that "
				 "makes the records here cannot follow"},
	[TIP_MTLS_BUDGET] = {"budget", "the key has made as many records as AES-GCM allows"},
	[TIP_MTLS_LIMIT_HANDSHAKES] = {"limit-handshakes", "too many handshakes at a time"},
	[TIP_MTLS_LIMIT_CONNECTIONS] = {"limit-connections", "too many connections"},
	[TIP_MTLS_LIMIT_IDENTITY] = {"limit-identity", "too many connections of one identity"},
	[TIP_MTLS_INTERNAL] = {"internal", "OpenSSL or the kernel refused its service"},
	[TIP_MTLS_NO_REQUEST] = {"no-request", "the server asked for no certificate"},
	[TIP_MTLS_NO_IDENTITY] = {"no-identity", "there is no SVID of the workload on this side"},
	[TIP_MTLS_SOCKMAP] = {"sockmap", "a BPF program of somebody else has put the connection's "
					 "socket into a sockmap"},
	[TIP_MTLS_ALPN_REFUSED] = {"alpn-refused",
				   "the peer refuses our ALPN: it insists on one of its own"},
};
_Static_assert(TIP_ARRAY_SIZE(causes) == TIP_MTLS_CAUSES, "each cause has its words");

const char *tip_mtls_cause_name(enum tip_mtls_cause cause)
{
	return (unsigned int)cause < TIP_MTLS_CAUSES ? causes[cause].name : "unknown";
}

const char *tip_mtls_cause_text(enum tip_mtls_cause cause)
{
	return (unsigned int)cause < TIP_MTLS_CAUSES ? causes[cause].text : "unknown";
}
