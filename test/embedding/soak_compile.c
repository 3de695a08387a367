// Long use of the compiler: many compiles, kills at any time, less memory than it takes.
#include <dirent.h>
#include <neuronc/neuronc.h>
#include <sys/resource.h>

#include "growth.h"

static const char* onnx;

static void compiles(int count) {
  for (int i = 0; i < count; ++i) {
    neuronc_result* result = neuronc_compile_file(onnx, NULL, 0);
    CHECK(neuronc_result_exit_code(result) == 0, "%s", neuronc_result_messages(result));
    neuronc_result_free(result);
  }
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

// In a child that may take `more_bytes`: its exit code, or -1 where something ended it.
static int compile_within(size_t more_bytes) {
  const size_t now_bytes = status_number("/proc/self/status", "VmSize:", 10) * 1024;
  const pid_t pid = fork();
  if (pid == 0) {
    struct rlimit limit = {now_bytes + more_bytes, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &limit);
    const char* words[] = {"--jobs", "3"};
    _exit(neuronc_result_exit_code(neuronc_compile_file(onnx, words, 2)));
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Where memory is refused, whenever that is, the compile says so and the process goes on.
static void memory(int count) {
  int num_refused = 0;
  for (int i = 0; i < count; ++i) {
    const size_t more_bytes = (size_t)i * (400u << 20) / (size_t)count;
    const int exit_code = compile_within(more_bytes);
    CHECK(exit_code == 0 || exit_code == 1, "within %zu bytes: %d", more_bytes, exit_code);
    num_refused += exit_code;
  }
  CHECK(num_refused > 0 && num_refused < count, "%d of %d were refused", num_refused, count);
}

int main(int argc, char** argv) {
  CHECK(argc == 4, "usage: CASE COUNT MODEL.onnx");
  const int count = atoi(argv[2]);
  onnx = argv[3];
  if (strcmp(argv[1], "compiles") == 0) {
    growth(compiles, count);
  } else if (strcmp(argv[1], "kills") == 0) {
    kills(count);
  } else if (strcmp(argv[1], "memory") == 0) {
    memory(count);
  } else {
    CHECK(0, "no case %s", argv[1]);
  }
  return 0;
}
