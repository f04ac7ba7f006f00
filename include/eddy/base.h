/* SPDX-License-Identifier: ISC */
/*
 * base: version, time and the conventions every other header stands on.
 *
 * A function answers 0 or a count, or -errno; errno itself is left alone.
 * Time is int64_t nanoseconds of CLOCK_MONOTONIC; a deadline is absolute, a
 * duration relative.  Everything here may be called in any thread.
 */
#ifndef EDDY_BASE_H
#define EDDY_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EDDY_VERSION        "0.1.0"
#define EDDY_VERSION_NUMBER 0x000100u /* 0xMMmmpp */

#ifdef __cplusplus
#define EDDY_HEADER_BEGIN_ extern "C" {
#define EDDY_HEADER_END_   }
#else
#define EDDY_HEADER_BEGIN_
#define EDDY_HEADER_END_
#endif

/* Durations. */
#define EDDY_US(n) ((int64_t)(n)*1000)
#define EDDY_MS(n) ((int64_t)(n)*1000000)
#define EDDY_S(n)  ((int64_t)(n)*1000000000)

/* As a deadline or a duration: no limit. */
#define EDDY_FOREVER INT64_MAX

EDDY_HEADER_BEGIN_

/* The version of the linked archive, as EDDY_VERSION is the header's. */
const char *eddy_version(void);

/* The time now, in ns.  Costs one vDSO call. */
int64_t eddy_now(void);

/* The deadline that lies duration ns ahead: saturates at EDDY_FOREVER, and a
 * negative duration counts as none. */
int64_t eddy_after(int64_t duration);

EDDY_HEADER_END_

#endif
