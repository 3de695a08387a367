// Whether memory stays as it is while something is done again and again.
#ifndef NEURONC_TEST_EMBEDDING_GROWTH_H_
#define NEURONC_TEST_EMBEDDING_GROWTH_H_

#include <malloc.h>

#include "guest.h"

static size_t used_bytes(void) {
  malloc_trim(0);
  return status_number("/proc/self/status", "VmRSS:", 10) * 1024;
}

// After a beginning in which caches fill, memory stays as it is.
static void growth(void (*work)(int), int count) {
  const size_t kAllowed = 2u << 20;
  work(count / 10 + 1);
  const size_t before = used_bytes();
  work(count);
  const size_t after = used_bytes();
  if (kIsSanitized) return;  // the checker of leaks looks at the end
  CHECK(after < before + kAllowed, "memory grew from %zu to %zu bytes", before, after);
  printf("%d done, memory %zu bytes before and %zu after\n", count, before, after);
}

#endif  // NEURONC_TEST_EMBEDDING_GROWTH_H_
