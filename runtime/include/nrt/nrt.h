/* nrt: loads NEFF files and runs them on the NeuronCores of this machine.
 *
 * The names, shapes and status numbers follow the Neuron runtime API, so that its users find their
 * way; the implementation runs on the host CPU. All functions are thread-safe. Concurrent
 * nrt_execute calls on one model stream through its cores. No function throws; every failing call
 * leaves a message for the calling thread in nrt_get_last_message().
 *
 *   nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "");
 *   nrt_load_file("model.neff", 0, 0, &model);
 *   nrt_tensor_allocate(NRT_TENSOR_PLACEMENT_HOST, 0, size, "x", &x);  ... write, add to a set
 *   nrt_execute(model, inputs, outputs);
 */
#ifndef NEURONC_RUNTIME_NRT_H_
#define NEURONC_RUNTIME_NRT_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NRT_API __attribute__((visibility("default")))

typedef enum {
  NRT_SUCCESS = 0,
  NRT_FAILURE = 1,        /* anything without a code of its own */
  NRT_INVALID = 2,        /* a wrong argument, a damaged NEFF, a name or size mismatch */
  NRT_INVALID_HANDLE = 3, /* a null or destroyed model, tensor or set */
  NRT_RESOURCE = 4,       /* a resource of the machine could not be had */
  NRT_TIMEOUT = 5,
  NRT_HW_ERROR = 6, /* the code needs an instruction set this CPU has not */
  NRT_QUEUE_FULL = 7,
  NRT_LOAD_NOT_ENOUGH_NC = 9, /* the model wants more NeuronCores than are visible */
  NRT_UNSUPPORTED_NEFF_VERSION = 10,
  NRT_FAIL_HOST_MEM_ALLOC = 11,
  NRT_UNINITIALIZED = 13, /* before nrt_init */
  NRT_CLOSED = 14,        /* after nrt_close */
  NRT_QUEUE_EMPTY = 15,
  NRT_EXEC_UNIT_UNRECOVERABLE = 101,
  NRT_EXEC_BAD_INPUT = 1002, /* a tensor is missing from a set or has a wrong size */
  NRT_EXEC_COMPLETED_WITH_NUM_ERR = 1003,
  NRT_EXEC_COMPLETED_WITH_ERR = 1004, /* a kernel or a host operator reported an error */
  NRT_EXEC_NC_BUSY = 1005,
  NRT_EXEC_OOB = 1006, /* an index computed from the data is out of range */
} NRT_STATUS;

typedef enum {
  NRT_FRAMEWORK_TYPE_INVALID = 0,
  NRT_FRAMEWORK_TYPE_NO_FW = 1,
  NRT_FRAMEWORK_TYPE_TENSORFLOW = 2,
  NRT_FRAMEWORK_TYPE_PYTORCH = 3,
  NRT_FRAMEWORK_TYPE_MXNET = 4,
} nrt_framework_type_t;

/* Every placement is host memory here; VIRTUAL tensors get their buffer by attaching one. */
typedef enum {
  NRT_TENSOR_PLACEMENT_DEVICE,
  NRT_TENSOR_PLACEMENT_HOST,
  NRT_TENSOR_PLACEMENT_VIRTUAL,
} nrt_tensor_placement_t;

typedef enum {
  NRT_DTYPE_UNKNOWN = 0x0,
  NRT_DTYPE_UINT64 = 0x1,
  NRT_DTYPE_INT8 = 0x2,
  NRT_DTYPE_UINT8 = 0x3,
  NRT_DTYPE_INT16 = 0x4,
  NRT_DTYPE_UINT16 = 0x5,
  NRT_DTYPE_BFLOAT16 = 0x6,
  NRT_DTYPE_FLOAT16 = 0x7,
  NRT_DTYPE_INT32 = 0x8,
  NRT_DTYPE_UINT32 = 0x9,
  NRT_DTYPE_FLOAT32 = 0xA,
  NRT_DTYPE_INT64 = 0xC,
  NRT_DTYPE_FP8_E4 = 0xE, /* f8e4m3fn */
  NRT_DTYPE_FP8_E5 = 0xF, /* f8e5m2 */
  /* Types beyond the original list. Types below 8 bits take one byte an element. */
  NRT_DTYPE_BOOL = 0x100,
  NRT_DTYPE_FLOAT64 = 0x101,
  NRT_DTYPE_STRING = 0x102, /* each element's UTF-8 bytes and a zero byte */
  NRT_DTYPE_INT4 = 0x103,
  NRT_DTYPE_UINT4 = 0x104,
  NRT_DTYPE_INT2 = 0x105,
  NRT_DTYPE_UINT2 = 0x106,
  NRT_DTYPE_FP8_E4_FNUZ = 0x107,
  NRT_DTYPE_FP8_E5_FNUZ = 0x108,
  NRT_DTYPE_FP8_E8M0 = 0x109,
  NRT_DTYPE_FP4_E2M1 = 0x10A,
} nrt_dtype_t;

typedef enum {
  NRT_TENSOR_USAGE_INPUT = 0,
  NRT_TENSOR_USAGE_OUTPUT = 1,
} nrt_tensor_usage_t;

/* What an input or output is. Most are tensors; the values of the others are lists of tensors. */
typedef enum {
  NRT_VALUE_TENSOR = 0,
  NRT_VALUE_SEQUENCE = 1,
  NRT_VALUE_OPTIONAL = 2,          /* a list of one tensor, or absent */
  NRT_VALUE_OPTIONAL_SEQUENCE = 3, /* a list, or absent */
} nrt_value_kind_t;

typedef struct nrt_model nrt_model_t;
typedef struct nrt_tensor nrt_tensor_t;
typedef struct nrt_tensor_set nrt_tensor_set_t;

typedef struct nrt_tensor_info {
  const char* name; /* owned by the array */
  nrt_tensor_usage_t usage;
  size_t size; /* bytes; 0 when known only at run time */
  nrt_dtype_t dtype;
  const int64_t* shape; /* -1: known only at run time */
  uint32_t ndim;        /* 0 with a size of 0: any rank, unless it is one string */
} nrt_tensor_info_t;

/* Inputs first, then outputs, each in the model's order. */
typedef struct nrt_tensor_info_array {
  uint64_t tensor_count;
  nrt_tensor_info_t* tensor_array;
} nrt_tensor_info_array_t;

/* Of a loaded model. Later versions add fields at the end. */
typedef struct nrt_model_info {
  char name[256];
  char uuid[40];
  char compiler_version[64];
  char target[96]; /* the instruction set whose code runs, "x86-64-v3" */
  uint32_t nc_count;
  uint32_t first_nc;     /* the first of its logical NeuronCores */
  uint64_t code_bytes;   /* kernels */
  uint64_t weight_bytes; /* in the NEFF */
  uint64_t memory_bytes; /* of the model's own: arenas, channels, shared memory, host operators */
} nrt_model_info_t;

/* Of this process. Later versions add fields at the end. */
typedef struct nrt_memory_stats {
  uint64_t num_models;
  uint64_t code_bytes;
  uint64_t weight_bytes;
  uint64_t model_bytes; /* arenas, channels, shared memory */
  uint64_t num_tensors;
  uint64_t tensor_bytes; /* that the runtime allocated */
} nrt_memory_stats_t;

/* Of a NEFF that is not loaded. Later versions add fields at the end. */
typedef struct nrt_neff_compat {
  uint32_t format_major;
  uint32_t format_minor;
  uint32_t nc_count;
  char compiler_version[64];
  char target[96];   /* the instruction set whose code would run; empty: none */
  char targets[512]; /* that there is code for, separated by blanks, the best last */
  char missing[512]; /* features that the least demanding of them wants and the machine lacks */
} nrt_neff_compat_t;

/* Called once when an asynchronous request has ended; `message` is valid until it returns. */
typedef void (*nrt_completion_t)(void* user_data, NRT_STATUS status, const char* message);

typedef struct nrt_version {
  uint64_t rt_major;
  uint64_t rt_minor;
  uint64_t rt_patch;
  uint64_t rt_maintenance;
  char rt_detail[128];
  char git_hash[64];
} nrt_version_t;

/* --- Set-up ------------------------------------------------------------------------------------
 * Environment:
 *   NEURON_RT_NUM_CORES=N          how many logical cores this process uses, or
 *   NEURON_RT_VISIBLE_CORES=A-B,C  which
 *   NEURON_RT_TARGET=NAME          which of a NEFF's instruction sets to run, not the best one
 *   NEURON_RT_VERIFY=metadata      skip the hash of the weights
 *   NEURON_RT_LOAD=copy            copy weights when a file is loaded: nothing that happens to
 *                                  the file matters then
 *   NEURON_RT_CHECK_NUMERICS=1|nan|inf   outputs with such elements give the status
 *                                  NRT_EXEC_COMPLETED_WITH_NUM_ERR
 *   NEURON_RT_CHECK=1              interpret the kernels of a NEFF compiled with --emit-kernels,
 *                                  every access checked; slow
 *   NEURON_RT_PERF_MAP=1           write /tmp/perf-PID.map
 *   NEURON_RT_LOG_LEVEL=error|warning|info|debug   to stderr
 *   NEURON_RT_PIN=0|1              keep each core's worker on a processor of its own; without it
 *                                  where NEURON_RT_VISIBLE_CORES names the cores
 *   NEURON_RT_USAGE=0|1|FOLDER     show nothing to neuron-top, or in memory that is gone with the
 *                                  process (so without it), or in files there
 *
 * After fork a child may use all of this: it has no models, and those of its parent are refused. */
NRT_API NRT_STATUS nrt_init(nrt_framework_type_t framework, const char* framework_version,
                            const char* framework_layer_version);
/* Unloads models that are loaded, when their requests have ended. nrt_init may be called again. */
NRT_API void nrt_close(void);

NRT_API const char* nrt_get_status_as_str(NRT_STATUS status);
/* What went wrong in the last failing call of this thread; valid until its next call. */
NRT_API const char* nrt_get_last_message(void);
NRT_API NRT_STATUS nrt_get_version(nrt_version_t* version, size_t size);

/* What this machine's code may use, separated by blanks: "x86-64-v3 avx2 fma ..."; static. */
NRT_API const char* nrt_get_cpu_features(void);

NRT_API NRT_STATUS nrt_get_total_nc_count(uint32_t* count);   /* of the machine */
NRT_API NRT_STATUS nrt_get_visible_nc_count(uint32_t* count); /* of this process */
NRT_API NRT_STATUS nrt_get_total_vnc_count(uint32_t* count);
NRT_API NRT_STATUS nrt_get_visible_vnc_count(uint32_t* count);

/* --- Models ------------------------------------------------------------------------------------
 * Loads a NEFF onto the visible NeuronCores [vnc, vnc + vnc_count). vnc -1: the runtime chooses;
 * vnc_count 0 or -1: as many as the model was compiled for; twice as many or more: so many groups of
 * cores run its requests side by side over one copy of its weights. nrt_load copies what it
 * needs of `neff`; nrt_load_file maps large weights, and processes share their pages: replace such
 * a file by renaming another one, never in place. */
NRT_API NRT_STATUS nrt_load(const void* neff, size_t size, int32_t vnc, int32_t vnc_count,
                            nrt_model_t** model);
NRT_API NRT_STATUS nrt_load_file(const char* path, int32_t vnc, int32_t vnc_count,
                                 nrt_model_t** model);
/* Whether a NEFF runs, found out without loading it; nrt_init is not needed. `features`, separated
 * by blanks as nrt_get_cpu_features gives them, are those of the machine; null: of this one. Fills
 * the first `size` bytes of `compat`, as far as the file could be read. NRT_SUCCESS: it runs;
 * NRT_HW_ERROR, NRT_UNSUPPORTED_NEFF_VERSION, NRT_INVALID: why not. */
NRT_API NRT_STATUS nrt_check_neff(const char* path, const char* features, nrt_neff_compat_t* compat,
                                  size_t size);
/* Waits for the model's requests. Called by a completion it does not wait: requests that are on their
 * way end and complete, and who leaves the model last frees it. */
NRT_API NRT_STATUS nrt_unload(nrt_model_t* model);
NRT_API NRT_STATUS nrt_get_model_nc_count(const nrt_model_t* model, uint32_t* count);
NRT_API NRT_STATUS nrt_get_model_vnc_count(const nrt_model_t* model, uint32_t* count);
/* Fills the first `size` bytes of `info`; pass sizeof(nrt_model_info_t). */
NRT_API NRT_STATUS nrt_get_model_info(const nrt_model_t* model, nrt_model_info_t* info,
                                      size_t size);
/* neff.json: what the model was made of and how. Valid until the model is unloaded; not zero-ended.
 */
NRT_API NRT_STATUS nrt_get_model_metadata(const nrt_model_t* model, const char** json,
                                          size_t* size);
NRT_API NRT_STATUS nrt_get_model_tensor_info(nrt_model_t* model,
                                             nrt_tensor_info_array_t** tensor_info);
NRT_API NRT_STATUS nrt_free_model_tensor_info(nrt_tensor_info_array_t* tensor_info);
/* Of a sequence or an optional, nrt_tensor_info_t tells of the tensors inside. */
NRT_API NRT_STATUS nrt_get_model_value_kind(nrt_model_t* model, nrt_tensor_usage_t usage,
                                            const char* name, nrt_value_kind_t* kind);

/* --- Tensors ---------------------------------------------------------------------------------*/
NRT_API NRT_STATUS nrt_tensor_allocate(nrt_tensor_placement_t placement, int vnc, size_t size,
                                       const char* name, nrt_tensor_t** tensor);
/* A tensor without memory: attach a buffer, or let nrt_execute size it (as an output). */
NRT_API NRT_STATUS nrt_tensor_allocate_empty(const char* name, nrt_tensor_t** tensor);
/* Part of another tensor; keeps the source's memory alive. */
NRT_API NRT_STATUS nrt_tensor_allocate_slice(const nrt_tensor_t* source, size_t offset, size_t size,
                                             const char* name, nrt_tensor_t** tensor);
/* The caller keeps `buffer` alive until the tensor is freed or another buffer is attached. */
NRT_API NRT_STATUS nrt_tensor_attach_buffer(nrt_tensor_t* tensor, void* buffer, size_t size);
NRT_API void nrt_tensor_free(nrt_tensor_t** tensor);
NRT_API NRT_STATUS nrt_tensor_read(const nrt_tensor_t* tensor, void* buffer, size_t offset,
                                   size_t size);
NRT_API NRT_STATUS nrt_tensor_write(nrt_tensor_t* tensor, const void* buffer, size_t offset,
                                    size_t size);
NRT_API size_t nrt_tensor_get_size(const nrt_tensor_t* tensor);
NRT_API void* nrt_tensor_get_va(const nrt_tensor_t* tensor);
/* The shape an execution gave to an output; the dims stay valid until the tensor changes. */
NRT_API NRT_STATUS nrt_tensor_get_shape(const nrt_tensor_t* tensor, const int64_t** dims,
                                        uint32_t* ndim);

/* Lists: a handle of nrt_tensor_allocate_empty holds the value of a sequence or an optional after
 * nrt_tensor_list_clear. Elements are handles of the list's own, valid until it changes.
 *
 *   nrt_tensor_list_clear(list, 1);
 *   nrt_tensor_set_shape(x, dims, 2);    what is in a list has a shape of its own
 *   nrt_tensor_list_append(list, x);     refers to the memory of x, as a slice does */
NRT_API NRT_STATUS nrt_tensor_list_clear(nrt_tensor_t* list, int has_value);
NRT_API NRT_STATUS nrt_tensor_list_append(nrt_tensor_t* list, const nrt_tensor_t* element);
NRT_API NRT_STATUS nrt_tensor_list_get_count(const nrt_tensor_t* list, size_t* count,
                                             int* has_value);
NRT_API NRT_STATUS nrt_tensor_list_get(const nrt_tensor_t* list, size_t index,
                                       nrt_tensor_t** element);
NRT_API NRT_STATUS nrt_tensor_set_shape(nrt_tensor_t* tensor, const int64_t* dims, uint32_t ndim);

NRT_API NRT_STATUS nrt_allocate_tensor_set(nrt_tensor_set_t** set);
NRT_API void nrt_destroy_tensor_set(nrt_tensor_set_t** set); /* the tensors stay */
NRT_API NRT_STATUS nrt_add_tensor_to_tensor_set(nrt_tensor_set_t* set, const char* name,
                                                nrt_tensor_t* tensor);
NRT_API NRT_STATUS nrt_get_tensor_from_tensor_set(nrt_tensor_set_t* set, const char* name,
                                                  nrt_tensor_t** tensor);

/* --- Execution ---------------------------------------------------------------------------------
 * Runs one request to its end: reads the tensors named as the model's inputs, writes those named as
 * its outputs. The tensors may not be changed meanwhile. */
NRT_API NRT_STATUS nrt_execute(nrt_model_t* model, const nrt_tensor_set_t* input_set,
                               nrt_tensor_set_t* output_set);
NRT_API NRT_STATUS nrt_execute_repeat(nrt_model_t* model, const nrt_tensor_set_t* input_set,
                                      nrt_tensor_set_t* output_set, int repeat_count);

/* The same, and gives up after `timeout_ns`: NRT_TIMEOUT says in which core and step the request
 * was, and has taken it out of the model, or that the time had passed before it could begin. If a
 * request does not end within a second of that, the status is NRT_EXEC_UNIT_UNRECOVERABLE: the
 * tensors must then stay, and the model is of no use until the step ends. Runs on the core's worker, never on the calling thread. */
NRT_API NRT_STATUS nrt_execute_timeout(nrt_model_t* model, const nrt_tensor_set_t* input_set,
                                       nrt_tensor_set_t* output_set, uint64_t timeout_ns);
/* Starts a request and returns; `completion` is called on a thread of the runtime when it has
 * ended, unless this returns an error. Buffers that were attached stay until then; tensors and sets
 * may be freed before. Requests of a model run in the order of their start. NRT_QUEUE_FULL: 32 of the
 * model were started and their completions not called yet. A completion may call the runtime, load,
 * run, unload and start the next request, and should be brief: the next ones wait for it. nrt_close is
 * refused there (nrt_get_last_message), as it would wait for itself. */
NRT_API NRT_STATUS nrt_execute_async(nrt_model_t* model, const nrt_tensor_set_t* input_set,
                                     nrt_tensor_set_t* output_set, nrt_completion_t completion,
                                     void* user_data);

/* --- Profiles ----------------------------------------------------------------------------------
 * Between start and stop the steps of the model's requests are timed; stop writes `filename`, a trace
 * for Perfetto, chrome://tracing and `neuron-profile view`. A model makes one profile at a time. */
NRT_API NRT_STATUS nrt_profile_start(nrt_model_t* model, const char* filename);
NRT_API NRT_STATUS nrt_profile_stop(const char* filename);

/* Fills the first `size` bytes of `stats`; pass sizeof(nrt_memory_stats_t). */
NRT_API NRT_STATUS nrt_get_memory_stats(nrt_memory_stats_t* stats, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* NEURONC_RUNTIME_NRT_H_ */
