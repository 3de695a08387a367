/* The compiler from C. Options are the command's, as words: what `neuronc` takes behind the model's
 * name works here.
 *
 *   const char* words[] = {"--num-neuroncores", "4"};
 *   neuronc_result* result = neuronc_compile_file("resnet.onnx", words, 2);
 *   if (neuronc_result_exit_code(result) != 0) puts(neuronc_result_messages(result));
 *   neuronc_result_free(result);
 */
#ifndef NEURONC_NEURONC_H_
#define NEURONC_NEURONC_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NEURONC_API __attribute__((visibility("default")))

typedef struct neuronc_result neuronc_result;

/* Compiles a model file. Never null; ask the result for its exit code. */
NEURONC_API neuronc_result* neuronc_compile_file(const char* path, const char* const* options,
                                                 size_t num_options);
/* Compiles a model in memory; `name` stands for the file in messages. */
NEURONC_API neuronc_result* neuronc_compile_bytes(const void* model, size_t size_bytes,
                                                  const char* name, const char* const* options,
                                                  size_t num_options);

/* 0 done, 1 wrong input, 2 usage, 3 unsupported, 5 gate failed, 70 internal error. */
NEURONC_API int neuronc_result_exit_code(const neuronc_result* result);
/* All messages, as the command prints them. */
NEURONC_API const char* neuronc_result_messages(const neuronc_result* result);
/* The report of --report, as JSON. */
NEURONC_API const char* neuronc_result_report(const neuronc_result* result);
/* The NEFF; null and 0 where the compile failed. Valid until the result is freed. */
NEURONC_API const void* neuronc_result_neff(const neuronc_result* result, size_t* size_bytes);
NEURONC_API void neuronc_result_free(neuronc_result* result);

NEURONC_API const char* neuronc_version(void);

#ifdef __cplusplus
}
#endif

#endif /* NEURONC_NEURONC_H_ */
