// Counts what a thread allocates: this target defines malloc and its kin for the whole test binary.
#pragma once
#include <stdint.h>

/// Allocations of the calling thread so far; 0 for ever under a sanitizer, which has a malloc of its own.
uint64_t allocationCount(void);

/// 1 when allocations are counted.
int allocationsAreCounted(void);
