// A loaded model with tensors and sets for its inputs and outputs.
#ifndef NEURONC_TEST_EMBEDDING_MODEL_H_
#define NEURONC_TEST_EMBEDDING_MODEL_H_

#include <nrt/nrt.h>

#include "guest.h"

#define GOOD(call)                                                                  \
  do {                                                                              \
    const NRT_STATUS good_status = (call);                                          \
    CHECK(good_status == NRT_SUCCESS, "%s: %s", nrt_get_status_as_str(good_status), \
          nrt_get_last_message());                                                  \
  } while (0)

enum { kMaxTensors = 8 };

typedef struct {
  nrt_model_t* model;
  nrt_tensor_set_t* inputs;
  nrt_tensor_set_t* outputs;
  nrt_tensor_t* tensors[kMaxTensors];
  uint64_t num_tensors;
} Model;

static inline void make_tensors(Model* m) {
  nrt_tensor_info_array_t* info = NULL;
  GOOD(nrt_get_model_tensor_info(m->model, &info));
  GOOD(nrt_allocate_tensor_set(&m->inputs));
  GOOD(nrt_allocate_tensor_set(&m->outputs));
  m->num_tensors = info->tensor_count;
  for (uint64_t i = 0; i < info->tensor_count; ++i) {
    const nrt_tensor_info_t* one = &info->tensor_array[i];
    GOOD(nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_HOST, 0, one->size, one->name, &m->tensors[i]));
    float* values = nrt_tensor_get_va(m->tensors[i]);
    const int is_input = one->usage == NRT_TENSOR_USAGE_INPUT;
    for (size_t k = 0; is_input && k < one->size / sizeof(float); ++k) {
      values[k] = (float)(k % 17) * 0.0625f;
    }
    GOOD(nrt_add_tensor_to_tensor_set(is_input ? m->inputs : m->outputs, one->name, m->tensors[i]));
  }
  nrt_free_model_tensor_info(info);
}

static inline void load(Model* m, const char* path) {
  GOOD(nrt_load_file(path, -1, -1, &m->model));
  make_tensors(m);
}

static inline void free_tensors(Model* m) {
  for (uint64_t i = 0; i < m->num_tensors; ++i) nrt_tensor_free(&m->tensors[i]);
  nrt_destroy_tensor_set(&m->inputs);
  nrt_destroy_tensor_set(&m->outputs);
}

static inline NRT_STATUS execute(const Model* m) {
  return nrt_execute(m->model, m->inputs, m->outputs);
}

// A number that tells outputs from others.
static inline double output_sum(const Model* m) {
  const nrt_tensor_t* last = m->tensors[m->num_tensors - 1];
  const float* values = nrt_tensor_get_va(last);
  double sum = 0;
  for (size_t i = 0; i < nrt_tensor_get_size(last) / sizeof(float); ++i) {
    sum += values[i] * (double)(1 + i % 7);
  }
  return sum;
}

static inline double run(const Model* m) {
  GOOD(execute(m));
  return output_sum(m);
}

#endif  // NEURONC_TEST_EMBEDDING_MODEL_H_
