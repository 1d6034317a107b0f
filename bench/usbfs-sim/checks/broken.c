// Simulations that are wrong, each in one function: linked in its place, they show that the checks notice.
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

void __wrap_readiness_lower(int descriptor);
void __wrap_readiness_raise(int descriptor);
bool __wrap_readiness_break(int descriptor);
void __wrap_sim_stamp(uint8_t *data, uint32_t length, uint64_t sequence, uint64_t ready);

/// Ready although nothing waits.
void __wrap_readiness_lower(int descriptor) { (void)descriptor; }

/// Nobody is woken.
void __wrap_readiness_raise(int descriptor) { (void)descriptor; }

/// Nobody hears that the device is gone.
bool __wrap_readiness_break(int descriptor) {
  (void)descriptor;
  return true;
}

/// Every report says that it is the first.
void __wrap_sim_stamp(uint8_t *data, uint32_t length, uint64_t sequence, uint64_t ready) {
  (void)sequence, (void)ready;
  memset(data, 0, length);
}
