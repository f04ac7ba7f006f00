/* SPDX-License-Identifier: ISC */
#include "fuzz.h"

unsigned fuzz_seed; /* none */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FUZZ_TARGET(data, size);
	return 0;
}
