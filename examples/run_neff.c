/* Runs a NEFF from C: loads it, feeds zeros, and prints each output's first elements.
 *
 *   run_neff MODEL.neff
 */
#include <nrt/nrt.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program with the runtime's message. */
static void check(NRT_STATUS status, const char* what) {
  if (status == NRT_SUCCESS) return;
  fprintf(stderr, "%s: %s: %s\n", what, nrt_get_status_as_str(status), nrt_get_last_message());
  exit(1);
}

static void print_output(const nrt_tensor_info_t* info, const nrt_tensor_t* tensor) {
  const size_t size = nrt_tensor_get_size(tensor);
  printf("%s: %zu bytes", info->name, size);
  if (info->dtype == NRT_DTYPE_FLOAT32 && size >= sizeof(float)) {
    float first[4] = {0};
    const size_t count = size / sizeof(float) < 4 ? size / sizeof(float) : 4;
    check(nrt_tensor_read(tensor, first, 0, count * sizeof(float)), "nrt_tensor_read");
    for (size_t i = 0; i < count; ++i) printf(" %g", first[i]);
  }
  printf("\n");
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: run_neff MODEL.neff\n");
    return 2;
  }
  nrt_model_t* model = NULL;
  nrt_tensor_info_array_t* infos = NULL;
  nrt_tensor_set_t *inputs = NULL, *outputs = NULL;
  check(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", ""), "nrt_init");
  check(nrt_load_file(argv[1], -1, -1, &model), "nrt_load_file");
  check(nrt_get_model_tensor_info(model, &infos), "nrt_get_model_tensor_info");
  check(nrt_allocate_tensor_set(&inputs), "nrt_allocate_tensor_set");
  check(nrt_allocate_tensor_set(&outputs), "nrt_allocate_tensor_set");

  nrt_tensor_t** tensors = calloc(infos->tensor_count, sizeof(*tensors));
  if (tensors == NULL) return 1;
  for (uint64_t i = 0; i < infos->tensor_count; ++i) {
    const nrt_tensor_info_t* info = &infos->tensor_array[i];
    nrt_tensor_set_t* set = info->usage == NRT_TENSOR_USAGE_INPUT ? inputs : outputs;
    /* Fresh tensors hold zeros. */
    check(nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_HOST, 0, info->size, info->name, &tensors[i]),
          "nrt_tensor_allocate");
    check(nrt_add_tensor_to_tensor_set(set, info->name, tensors[i]),
          "nrt_add_tensor_to_tensor_set");
  }
  check(nrt_execute(model, inputs, outputs), "nrt_execute");
  for (uint64_t i = 0; i < infos->tensor_count; ++i) {
    const nrt_tensor_info_t* info = &infos->tensor_array[i];
    if (info->usage == NRT_TENSOR_USAGE_OUTPUT) print_output(info, tensors[i]);
  }

  nrt_destroy_tensor_set(&inputs);
  nrt_destroy_tensor_set(&outputs);
  for (uint64_t i = 0; i < infos->tensor_count; ++i) nrt_tensor_free(&tensors[i]);
  free(tensors);
  check(nrt_free_model_tensor_info(infos), "nrt_free_model_tensor_info");
  check(nrt_unload(model), "nrt_unload");
  nrt_close();
  return 0;
}
