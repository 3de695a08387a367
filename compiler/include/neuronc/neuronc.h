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

typedef enum {
  NEURONC_NOTE = 0,
  NEURONC_WARNING = 1,
  NEURONC_ERROR = 2,
} neuronc_severity;

/* Texts are empty where they do not apply, and never null. */
typedef struct neuronc_message {
  neuronc_severity severity;
  const char* code;    /* "NEU0204" */
  const char* text;    /* as the command prints it, with location and hints */
  const char* summary; /* the text alone */
  const char* file;
  const char* node; /* the ONNX node's name */
  const char* op;   /* its operator */
  int64_t opset;
  const char* tensor;
  const char* hints; /* one a line */
} neuronc_message;

typedef struct neuronc_progress {
  const char* phase;  /* "import", "passes", "code", "write" */
  const char* detail; /* the pass that begins */
  int64_t done;       /* of `total` steps of the phase; 0 of 0: not known */
  int64_t total;
} neuronc_progress;

/* Both are called on the calling thread. A progress callback that gives anything but 0 cancels. */
typedef int (*neuronc_progress_callback)(void* user_data, const neuronc_progress* progress);
typedef void (*neuronc_log_callback)(void* user_data, const neuronc_message* message);

/* External data in memory, by the location that the model names. */
typedef struct neuronc_external_data {
  const char* location;
  const void* data;
  size_t size_bytes;
} neuronc_external_data;

/* What to compile, and how. Fields that are 0 are left out; later versions add fields at the end.
 *
 *   neuronc_job job = {.size = sizeof job, .path = "resnet.onnx", .output = "resnet.neff"};
 */
typedef struct neuronc_job {
  size_t size;      /* sizeof(neuronc_job) */
  const char* path; /* of a model file; or a model in memory: */
  const void* model;
  size_t model_bytes;
  const char* name;           /* stands for the file of a model in memory in messages */
  const char* output;         /* the NEFF to write, from a path alone; null: it is in the result */
  const char* const* options; /* the command's words */
  size_t num_options;
  const neuronc_external_data* external_data;
  size_t num_external_data;
  neuronc_progress_callback progress;
  neuronc_log_callback log;
  void* user_data;
} neuronc_job;

/* A value of the reference evaluator. Types are nrt.h's numbers (NRT_DTYPE_FLOAT32 is 0xA); elements
 * are row-major and take whole bytes; of a string each has a zero byte at its end. */
typedef struct neuronc_tensor {
  size_t size; /* sizeof(neuronc_tensor) */
  const char* name;
  int32_t dtype;
  uint32_t ndim;
  const int64_t* shape;
  const void* data;
  size_t size_bytes;
} neuronc_tensor;

/* Results are never null; ask them for their exit code. */
NEURONC_API neuronc_result* neuronc_compile(const neuronc_job* job);
/* Imports, optimises and places: every problem, and where each operation would run. */
NEURONC_API neuronc_result* neuronc_check(const neuronc_job* job);
/* Evaluates the model as it stands, operator by operator in double precision, without compiling it:
 * what a compiled model is verified against. Slow. Every input is given, by its name; their shapes
 * bind the model's dims. */
NEURONC_API neuronc_result* neuronc_evaluate(const neuronc_job* job, const neuronc_tensor* inputs,
                                             size_t num_inputs);
NEURONC_API neuronc_result* neuronc_compile_file(const char* path, const char* const* options,
                                                 size_t num_options);
NEURONC_API neuronc_result* neuronc_compile_bytes(const void* model, size_t size_bytes,
                                                  const char* name, const char* const* options,
                                                  size_t num_options);
/* What a NEFF holds: the report is its neff.json, with members and targets under "container". */
NEURONC_API neuronc_result* neuronc_inspect_file(const char* path);
NEURONC_API neuronc_result* neuronc_inspect_bytes(const void* neff, size_t size_bytes);
/* The page behind a message's code; empty if there is none. Valid for the life of the process. */
NEURONC_API const char* neuronc_explain(const char* code);

/* 0 done, 1 wrong input, 2 usage, 3 unsupported, 5 gate failed, 70 internal error. */
NEURONC_API int neuronc_result_exit_code(const neuronc_result* result);
/* All messages, as the command prints them. */
NEURONC_API const char* neuronc_result_messages(const neuronc_result* result);
NEURONC_API size_t neuronc_result_num_messages(const neuronc_result* result);
/* Fills the first `size` bytes of `message`; pass sizeof(neuronc_message). Texts are valid until
 * the result is freed. 0; anything else: there is no such message. */
NEURONC_API int neuronc_result_message(const neuronc_result* result, size_t index,
                                       neuronc_message* message, size_t size);
/* The report of --report, as JSON. */
NEURONC_API const char* neuronc_result_report(const neuronc_result* result);
/* The NEFF; null and 0 where the compile failed. Valid until the result is freed. */
NEURONC_API const void* neuronc_result_neff(const neuronc_result* result, size_t* size_bytes);
/* Of neuronc_evaluate, in the order of the model's outputs. Fills the first `size` bytes of `tensor`;
 * valid until the result is freed. 0; anything else: there is no such output. */
NEURONC_API size_t neuronc_result_num_outputs(const neuronc_result* result);
NEURONC_API int neuronc_result_output(const neuronc_result* result, size_t index,
                                      neuronc_tensor* tensor, size_t size);
NEURONC_API void neuronc_result_free(neuronc_result* result);

NEURONC_API const char* neuronc_version(void);
NEURONC_API const char* neuronc_llvm_version(void);

#ifdef __cplusplus
}
#endif

#endif /* NEURONC_NEURONC_H_ */
