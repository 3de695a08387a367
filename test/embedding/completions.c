// What completions of asynchronous requests may do: unload their model or another, load, run, start
// the next request, whatever else is on its way. Nothing may wait for the thread that calls them.
#include "model.h"

enum { kMany = 24 };  // fewer than a model takes at once

static const char* path;
static Model model;
static int num_called;

static int called(void) { return __atomic_load_n(&num_called, __ATOMIC_SEQ_CST); }

static void wait_for(int count) {
  for (int i = 0; i < 600000 && called() < count; ++i) usleep(100);
  CHECK(called() == count, "%d of %d completions were called", called(), count);
}

static void start(Model* of, nrt_completion_t completion, void* user_data) {
  NRT_STATUS status;
  do {
    status = nrt_execute_async(of->model, of->inputs, of->outputs, completion, user_data);
  } while (status == NRT_QUEUE_FULL && usleep(100) == 0);
  GOOD(status);
}

static void count(void* unused, NRT_STATUS status, const char* message) {
  CHECK(status == NRT_SUCCESS, "%s", message);
  __atomic_add_fetch(&num_called, 1, __ATOMIC_SEQ_CST);
}

static nrt_model_t* last_unloaded;

// The first completion that comes unloads the model `user_data`, unless the runtime is being closed.
static void unload_once(void* user_data, NRT_STATUS status, const char* message) {
  nrt_model_t* const unloaded = user_data;
  if (last_unloaded != unloaded) {
    last_unloaded = unloaded;
    const NRT_STATUS unload_status = nrt_unload(unloaded);
    CHECK(unload_status == NRT_SUCCESS || unload_status == NRT_CLOSED, "%s",
          nrt_get_last_message());
    CHECK(nrt_unload(unloaded) != NRT_SUCCESS, "it was unloaded twice");
  }
  count(NULL, status, message);
}

static uint64_t num_models(void) {
  nrt_memory_stats_t stats;
  GOOD(nrt_get_memory_stats(&stats, sizeof stats));
  return stats.num_models;
}

// Requests behind the one whose completion unloads their model end well, and then the model goes.
static void unload_first(void) {
  for (int i = 0; i < kMany; ++i) {
    const NRT_STATUS status =
        nrt_execute_async(model.model, model.inputs, model.outputs, unload_once, model.model);
    if (status == NRT_INVALID_HANDLE && i > 0) {  // unloaded already
      wait_for(i);
      break;
    }
    GOOD(status);
    if (i == kMany - 1) wait_for(kMany);
  }
  CHECK(num_models() == 0, "%d models are left", (int)num_models());
  CHECK(execute(&model) == NRT_INVALID_HANDLE, "the model is still there");
}

// The model that is unloaded is another one, with requests that complete behind this completion.
static void unload_other(void) {
  Model other;
  load(&other, path);
  for (int i = 0; i < kMany; ++i) start(&other, count, NULL);
  start(&model, unload_once, other.model);
  for (int i = 0; i < kMany; ++i) {
    const NRT_STATUS status =
        nrt_execute_async(other.model, other.inputs, other.outputs, count, NULL);
    CHECK(status == NRT_SUCCESS || status == NRT_INVALID_HANDLE || status == NRT_QUEUE_FULL, "%s",
          nrt_get_last_message());
    if (status != NRT_SUCCESS) __atomic_add_fetch(&num_called, 1, __ATOMIC_SEQ_CST);
  }
  wait_for(2 * kMany + 1);
  CHECK(num_models() == 1, "%d models are there", (int)num_models());
  free_tensors(&other);
  GOOD(nrt_unload(model.model));
}

// Meanwhile another thread closes the runtime, which waits for models that are on their way out.
static void close_meanwhile(void) {
  for (int round = 0; round < 20; ++round) {
    __atomic_store_n(&num_called, 0, __ATOMIC_SEQ_CST);
    int num_started = 0;
    while (num_started < kMany && nrt_execute_async(model.model, model.inputs, model.outputs,
                                                    unload_once, model.model) == NRT_SUCCESS) {
      ++num_started;
    }
    usleep(round * 20);
    nrt_close();
    last_unloaded = NULL;  // the next may have its place
    CHECK(called() == num_started, "%d of %d requests have ended", called(), num_started);
    CHECK(settled_threads(1) == 1, "%d threads are left", num_threads());
    GOOD(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", ""));
    GOOD(nrt_load_file(path, -1, -1, &model.model));
  }
  GOOD(nrt_unload(model.model));
}

// Loads, runs, unloads; closing is refused, as the thread would wait for itself.
static void load_and_run(void* user_data, NRT_STATUS status, const char* message) {
  Model own;
  load(&own, path);
  const double sum = run(&own);
  GOOD(nrt_execute_timeout(own.model, own.inputs, own.outputs, 60000000000u));
  CHECK(sum == *(const double*)user_data, "other values came");
  GOOD(nrt_unload(own.model));
  free_tensors(&own);
  nrt_close();
  CHECK(strstr(nrt_get_last_message(), "nrt_close") != NULL, "%s", nrt_get_last_message());
  count(NULL, status, message);
}

static void load_there(void) {
  double expected = run(&model);
  for (int i = 0; i < kMany; ++i) start(&model, load_and_run, &expected);
  wait_for(kMany);
  GOOD(nrt_unload(model.model));
}

static int is_done;

static void* keep_running(void* unused) {
  Model mine = model;
  make_tensors(&mine);
  while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE)) run(&mine);
  free_tensors(&mine);
  return unused;
}

enum { kChains = 20, kChainLength = 10 };
static Model links[kChains];

// Starts the next request of its chain, and runs one itself.
static void go_on(void* user_data, NRT_STATUS status, const char* message) {
  int* const num_left = user_data;
  CHECK(status == NRT_SUCCESS, "%s", message);
  Model* const link = &links[*num_left % kChains];
  if (--*num_left > 0) {
    start(link, go_on, num_left);
    if (*num_left % 8 == 0) run(&model);
  } else {
    __atomic_add_fetch(&num_called, 1, __ATOMIC_SEQ_CST);
  }
}

// Chains of asynchronous requests among threads that wait for places in the same model.
static void chains(void) {
  enum { kThreads = 40 };  // more than there are places
  static pthread_t threads[kThreads];
  static int num_left[kChains];
  for (int i = 0; i < kChains; ++i) {
    links[i].model = model.model;
    make_tensors(&links[i]);
    num_left[i] = kChainLength;
  }
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, keep_running, NULL);
  for (int i = 0; i < kChains; ++i) start(&links[i], go_on, &num_left[i]);
  wait_for(kChains);
  __atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < kChains; ++i) free_tensors(&links[i]);
  GOOD(nrt_unload(model.model));
}

// Tensors whose handles are freed stay for the requests that use them, and no longer.
static void free_tensors_there(void) {
  nrt_memory_stats_t before, after;
  GOOD(nrt_get_memory_stats(&before, sizeof before));
  for (int i = 0; i < kMany; ++i) {
    Model other = model;
    make_tensors(&other);
    start(&other, count, NULL);
    nrt_tensor_t* const freed = other.tensors[0];
    free_tensors(&other);
    CHECK(nrt_tensor_get_size(freed) == 0, "the handle is still good");
  }
  wait_for(kMany);
  GOOD(nrt_get_memory_stats(&after, sizeof after));
  CHECK(after.num_tensors == before.num_tensors && after.tensor_bytes == before.tensor_bytes,
        "%llu bytes of tensors became %llu", (unsigned long long)before.tensor_bytes,
        (unsigned long long)after.tensor_bytes);
  GOOD(nrt_unload(model.model));
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(void);
  } kCases[] = {{"unload_first", unload_first},
                {"unload_other", unload_other},
                {"close_meanwhile", close_meanwhile},
                {"load", load_there},
                {"chains", chains},
                {"free_tensors", free_tensors_there}};
  CHECK(argc == 3, "usage: CASE MODEL.neff");
  path = argv[2];
  GOOD(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", ""));
  load(&model, path);
  int is_found = 0;
  for (size_t i = 0; i < sizeof kCases / sizeof *kCases; ++i) {
    if (strcmp(kCases[i].name, argv[1]) != 0) continue;
    kCases[i].run();
    is_found = 1;
  }
  CHECK(is_found, "no case %s", argv[1]);
  free_tensors(&model);
  nrt_close();
  return 0;
}
