// Long use: threads that execute while models come and go, many compiles and requests, kills at any
// time.
#include <dirent.h>
#include <malloc.h>
#include <neuronc/neuronc.h>

#include "model.h"

static const char* path;
static const char* onnx;
static volatile int num_left;

static void* serve(void* models) {
  Model mine[4];
  for (int i = 0; i < 4; ++i) {
    mine[i] = ((Model*)models)[i];
    make_tensors(&mine[i]);
  }
  for (int i; (i = __atomic_sub_fetch(&num_left, 1, __ATOMIC_SEQ_CST)) >= 0;) run(&mine[i % 4]);
  for (int i = 0; i < 4; ++i) free_tensors(&mine[i]);
  return NULL;
}

// Eight clients, four models, and others that are loaded, run and unloaded meanwhile.
static void clients(int num_requests) {
  Model models[4];
  pthread_t threads[8];
  for (int i = 0; i < 4; ++i) GOOD(nrt_load_file(path, -1, -1, &models[i].model));
  num_left = num_requests;
  for (int i = 0; i < 8; ++i) pthread_create(&threads[i], NULL, serve, models);
  while (__atomic_load_n(&num_left, __ATOMIC_SEQ_CST) > 0) {
    Model passing;
    load(&passing, path);
    run(&passing);
    GOOD(nrt_unload(passing.model));
    free_tensors(&passing);
  }
  for (int i = 0; i < 8; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < 4; ++i) GOOD(nrt_unload(models[i].model));
}

static size_t used_bytes(void) {
  malloc_trim(0);
  return status_number("/proc/self/status", "VmRSS:", 10) * 1024;
}

static void requests(int count) {
  Model model;
  load(&model, path);
  for (int i = 0; i < count; ++i) run(&model);
  GOOD(nrt_unload(model.model));
  free_tensors(&model);
}

static void compiles(int count) {
  for (int i = 0; i < count; ++i) {
    neuronc_result* result = neuronc_compile_file(onnx, NULL, 0);
    CHECK(neuronc_result_exit_code(result) == 0, "%s", neuronc_result_messages(result));
    neuronc_result_free(result);
  }
}

// After a beginning in which caches fill, memory stays as it is.
static void growth(void (*work)(int), int count) {
  const size_t kAllowed = 2u << 20;
  work(count / 10 + 1);
  const size_t before = used_bytes();
  work(count);
  const size_t after = used_bytes();
  CHECK(after < before + kAllowed, "memory grew from %zu to %zu bytes", before, after);
  printf("%d done, memory %zu bytes before and %zu after\n", count, before, after);
}

static int num_files(const char* folder) {
  int count = 0;
  DIR* open = opendir(folder);
  for (struct dirent* entry; (entry = readdir(open)) != NULL;) count += entry->d_name[0] != '.';
  closedir(open);
  return count;
}

// A compile that is killed leaves the whole output or nothing.
static void kills(int count) {
  char folder[] = "/tmp/neuronc-guest-XXXXXX";
  CHECK(mkdtemp(folder) != NULL, "no folder");
  char output[64];
  snprintf(output, sizeof output, "%s/out.neff", folder);
  for (int i = 0; i < count; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      neuronc_job job = {.size = sizeof job, .path = onnx, .output = output};
      neuronc_result_free(neuronc_compile(&job));
      _exit(0);
    }
    usleep((useconds_t)(i * 7919 % 150000));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    const int files = num_files(folder);
    CHECK(files == 0 || (files == 1 && access(output, R_OK) == 0), "%d files are left", files);
    if (files == 1) {
      neuronc_result* result = neuronc_inspect_file(output);
      CHECK(neuronc_result_exit_code(result) == 0, "%s", neuronc_result_messages(result));
      neuronc_result_free(result);
    }
    unlink(output);
  }
  rmdir(folder);
}

int main(int argc, char** argv) {
  CHECK(argc == 5, "usage: CASE COUNT MODEL.neff MODEL.onnx");
  const int count = atoi(argv[2]);
  path = argv[3];
  onnx = argv[4];
  GOOD(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", ""));
  if (strcmp(argv[1], "clients") == 0) {
    clients(count);
  } else if (strcmp(argv[1], "requests") == 0) {
    growth(requests, count);
  } else if (strcmp(argv[1], "compiles") == 0) {
    growth(compiles, count);
  } else if (strcmp(argv[1], "kills") == 0) {
    kills(count);
  } else {
    CHECK(0, "no case %s", argv[1]);
  }
  nrt_close();
  return 0;
}
