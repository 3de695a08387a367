/* Kernels for the tests, with the calling convention of generated code. */
#include <stdint.h>

typedef struct {
  void* data;
} Buffer;

static int32_t add(const Buffer* buffers, int64_t tile_begin, int64_t tile_end) {
  const float* x = buffers[0].data;
  const float* k = buffers[1].data;
  float* y = buffers[2].data;
  for (int64_t i = tile_begin; i < tile_end; ++i) y[i] = x[i] + k[0];
  return 0;
}

/* y[i] = x[i] + k[0] for the tiles given; one element a tile. */
int32_t add_scalar(const Buffer* buffers, int64_t tile_begin, int64_t tile_end) {
  return add(buffers, tile_begin, tile_end);
}

/* y[i] = x[i] + k[0], after some work, so that lanes overlap. */
int32_t slow_add(const Buffer* buffers, int64_t tile_begin, int64_t tile_end) {
  volatile int64_t work = 0;
  while (work < 20000) ++work;
  return add(buffers, tile_begin, tile_end);
}

/* Copies the element, and fails with status 1 for a negative one, 7 for one above 1000. */
int32_t check(const Buffer* buffers, int64_t tile_begin, int64_t tile_end) {
  const float* x = buffers[0].data;
  float* y = buffers[1].data;
  for (int64_t i = tile_begin; i < tile_end; ++i) {
    if (x[i] < 0) return 1;
    if (x[i] > 1000) return 7;
    y[i] = x[i];
  }
  return 0;
}
