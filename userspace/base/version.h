/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_VERSION_H
#define TIP_BASE_VERSION_H

#define TIP_VERSION "0.1.0"

#endif
