/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIPSTAFF_KTLS_H
#define TIPSTAFF_KTLS_H

/*
 * What the start-up probe found of kernel TLS, as bits: the keeper tries it, the front uses it.
 * 0: the kernel makes no records here.
 */
#define TIP_KTLS_AES_128_GCM       1u
#define TIP_KTLS_AES_256_GCM       2u
#define TIP_KTLS_CHACHA20_POLY1305 4u
#define TIP_KTLS_REKEY             8u /* a key can be replaced: Linux 6.14 */

#endif
