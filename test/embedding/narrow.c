// The runtime where its host leaves it little: threads with small stacks, threads that are cancelled,
// calls that signals interrupt, standard streams that are closed, descriptors and threads that are refused.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "model.h"

static const char* path;
static double expected;

static void on_completion(void* user_data, NRT_STATUS status, const char* message) {
  CHECK(status == NRT_SUCCESS, "%s", message);
  __atomic_add_fetch((int*)user_data, 1, __ATOMIC_SEQ_CST);
}

static void use_once(void) {
  Model own;
  int completed = 0;
  load(&own, path);
  CHECK(run(&own) == expected, "other values came");
  GOOD(nrt_execute_timeout(own.model, own.inputs, own.outputs, UINT64_MAX / 4));
  GOOD(nrt_execute_async(own.model, own.inputs, own.outputs, on_completion, &completed));
  while (__atomic_load_n(&completed, __ATOMIC_SEQ_CST) == 0) usleep(100);
  CHECK(output_sum(&own) == expected, "other values came");
  GOOD(nrt_unload(own.model));
  free_tensors(&own);
}

static void* use_in_thread(void* unused) {
  use_once();
  nrt_model_t* none = NULL;
  CHECK(nrt_load_file("/", -1, -1, &none) != NRT_SUCCESS, "a folder was loaded");
  CHECK(strstr(nrt_get_last_message(), "regular file") != NULL, "%s", nrt_get_last_message());
  return unused;
}

// A thread may have as little stack as servers with thousands of them give it.
static void small_stack(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstacksize(&attributes, kIsSanitized ? 256 << 10 : 64 << 10) == 0, "size");
  CHECK(pthread_create(&thread, &attributes, use_in_thread, NULL) == 0, "no thread");
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
}

static void* keep_using(void* started) {
  for (;;) {
    Model own;
    load(&own, path);
    __atomic_store_n((int*)started, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 3; ++i) run(&own);
    GOOD(nrt_unload(own.model));
    free_tensors(&own);
    pthread_testcancel();
  }
}

// pthread_cancel ends a thread before or behind a call, never inside of one.
static void cancelled(void) {
  for (int i = 0; i < (kIsSanitized ? 5 : 50); ++i) {
    int started = 0;
    void* result = NULL;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, keep_using, &started) == 0, "no thread");
    while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) == 0) usleep(10);
    usleep((useconds_t)(i * 137 % 3000));
    pthread_cancel(thread);
    pthread_join(thread, &result);
    CHECK(result == PTHREAD_CANCELED, "the thread was not cancelled");
    use_once();
  }
}

static volatile long num_ticks;

static void on_tick(int number) {
  (void)number;
  ++num_ticks;
}

// A timer of the host's interrupts system calls, and nothing else.
static void interrupted(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_tick;
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval every = {{0, 3000}, {0, 3000}};
  setitimer(ITIMER_REAL, &every, NULL);
  while (num_ticks < 100) use_once();
  const struct itimerval never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &never, NULL);
}

// What anybody prints to a stream that is closed does not reach a file of the runtime's.
static void closed_streams(void) {
  nrt_close();
  const int report = fcntl(STDERR_FILENO, F_DUPFD, 10);
  for (int i = 0; i < 3; ++i) close(i);
  GOOD(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", ""));
  Model own;
  load(&own, path);
  const double sum = run(&own);
  for (int i = 0; i < 3; ++i) {
    const int is_open = fcntl(i, F_GETFD) >= 0;
    dup2(report, STDERR_FILENO);
    CHECK(!is_open, "the runtime took descriptor %d", i);
    close(STDERR_FILENO);
  }
  dup2(report, STDERR_FILENO);
  CHECK(sum == expected, "other values came");
  GOOD(nrt_unload(own.model));
  free_tensors(&own);
}

// With no descriptor or no thread to be had, calls end with a status, and later ones are good.
static void refused(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  const struct rlimit none = {0, files.rlim_max};
  nrt_model_t* model = NULL;
  setrlimit(RLIMIT_NOFILE, &none);
  const NRT_STATUS status = nrt_load_file(path, -1, -1, &model);
  setrlimit(RLIMIT_NOFILE, &files);
  CHECK(status == NRT_INVALID && strstr(nrt_get_last_message(), "open files") != NULL, "%s: %s",
        nrt_get_status_as_str(status), nrt_get_last_message());
  use_once();
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(void);
  } kCases[] = {{"small_stack", small_stack},
                {"cancelled", cancelled},
                {"interrupted", interrupted},
                {"closed_streams", closed_streams},
                {"refused", refused}};
  CHECK(argc == 3, "usage: CASE MODEL.neff");
  path = argv[2];
  GOOD(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", ""));
  Model model;
  load(&model, path);
  expected = run(&model);
  GOOD(nrt_unload(model.model));
  free_tensors(&model);
  int is_found = 0;
  for (size_t i = 0; i < sizeof kCases / sizeof *kCases; ++i) {
    if (strcmp(kCases[i].name, argv[1]) != 0) continue;
    kCases[i].run();
    is_found = 1;
  }
  CHECK(is_found, "no case %s", argv[1]);
  nrt_close();
  return 0;
}
